package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/mysql"
)

// How long a command waits at a store on a server.
const (
	// serverWait is for one of the hosts to be there: longer than a cluster needs to change.
	serverWait = 12 * time.Second
	// firstLook is how long a process that stays looks for one before it goes to work without: what is well answers
	// within milliseconds.
	firstLook = 2 * time.Second
	// serverAnswer is for one operation. Somebody waits for it, but no mail.
	serverAnswer = 10 * time.Second
)

// openServer opens a store that is on a server, and waits until one of its hosts can be used, or for a moment where it is to be patient.
func openServer(ctx context.Context, p *plan.Plan, o storeOptions) (store.Store, error) {
	gateway, err := gatewayName(o.gateway)
	if err != nil {
		return nil, err
	}
	log := o.log
	if log == nil {
		log = slog.New(slog.DiscardHandler) // a command says by its error what happened
	}
	s, err := mysql.Open(ctx, mysql.Config{Store: p.Store, Gateway: gateway, Timeout: cmp.Or(o.answer, serverAnswer), Log: log})
	if err != nil {
		return nil, withMend(err, p)
	}
	if o.patient {
		looking, cancel := context.WithTimeout(ctx, firstLook)
		defer cancel()
		err := s.Wait(looking)
		if err == nil || errors.Is(err, store.ErrAway) || errors.Is(err, context.DeadlineExceeded) {
			return s, nil
		}
		return nil, errors.Join(withMend(err, p), s.Close()) // what is there is not for this user, or of another kind
	}
	waiting, cancel := context.WithTimeout(ctx, cmp.Or(o.wait, serverWait))
	defer cancel()
	err = s.Wait(waiting)
	if err == nil && o.create {
		_, err = s.Migrate(ctx, p.Tables)
	}
	if err != nil {
		return nil, errors.Join(withMend(err, p), s.Close())
	}
	return s, nil
}
