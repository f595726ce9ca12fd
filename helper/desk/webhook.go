package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// postDeadline is for one POST and its answer; mostAnswer is how much of an answer is read.
const (
	postDeadline = 30 * time.Second
	mostAnswer   = 64 << 10
)

// webClient follows no redirects: what a notice says is for the one who was named.
func webClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post gives a webhook its JSON. Any answer of 200 to 299 means that it has it. No error names the
// whole URL, which may be a secret.
func (d *Desk) post(ctx context.Context, webhook, id string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, postDeadline)
	defer cancel()
	at, err := url.Parse(webhook)
	if err != nil || at.Host == "" {
		return final(errors.New("the webhook's URL is none"))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return final(fmt.Errorf("webhook at %s: %w", at.Host, err))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook, &b)
	if err != nil {
		return final(fmt.Errorf("webhook at %s: it cannot be asked", at.Host))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", d.o.Agent)
	req.Header.Set("Idempotency-Key", id)
	answer, err := d.o.HTTP.Do(req)
	var bare *url.Error
	if errors.As(err, &bare) {
		err = bare.Err
	}
	if err != nil {
		return fmt.Errorf("webhook at %s: %w", at.Host, err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswer)) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("webhook at %s: it answers %d", at.Host, answer.StatusCode)
	}
	return nil
}
