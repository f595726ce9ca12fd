package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"exipol/helper"
)

// States of sd_notify(3).
const (
	ready    = sd.SdNotifyReady
	stopping = sd.SdNotifyStopping
	alive    = sd.SdNotifyWatchdog
)

// notify tells systemd, where it listens.
func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Warn("cannot notify systemd", "error", err)
	}
}

func (d *daemon) notifyReady() {
	d.notify(fmt.Sprintf("%s\nSTATUS=plan %s", ready, d.helper.Plan().ID))
}

// notifyReloading begins a reload, as Type=notify-reload wants it.
func (d *daemon) notifyReloading() {
	d.notify(sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec())
}

// watchdog tells systemd that we are alive, as long as we answer on our own socket, or
// at least others: under a flood our own question finds no room in the queue, and a
// restart would help nobody.
func (d *daemon) watchdog(ctx context.Context) {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil || interval <= 0 {
		return
	}
	t := time.NewTicker(interval / 3)
	defer t.Stop()
	p := pulse{
		ask: func() error {
			_, err := askSocket(ctx, d.path, helper.StatusQuestion, interval/4)
			return err
		},
		accepted: func() int64 { return d.server.Stats().Accepted },
	}
	for {
		lives, err := p.beats()
		if lives {
			d.notify(alive)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Error("no answer on our own socket", "error", err, "alive", lives)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// pulse tells a daemon that is overrun from one that hangs.
type pulse struct {
	ask      func() error // our own question
	accepted func() int64 // connections since the start
	last     int64        // of accepted, when it was looked at
}

// beats says whether the daemon lives; err is why its own question was not answered.
func (p *pulse) beats() (lives bool, err error) {
	err = p.ask()
	now := p.accepted()
	moved := now > p.last
	p.last = now
	return err == nil || moved, err
}

// askSocket asks as Exim does.
func askSocket(ctx context.Context, path, question string, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := io.WriteString(conn, question); err != nil {
		return nil, err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(conn, 1<<20))
}
