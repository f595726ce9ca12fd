package mainlog

// Judge reads the text of a failure where it stands alone, as Exim gives it to event_action
// ($event_data), and decides its class.
func Judge(text []byte) Failure { return judge(text) }
