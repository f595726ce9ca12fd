package portable

import (
	"context"
	"strings"
	"time"

	"exipol/helper/store"
)

// keepGateway is how long a gateway is known that is not seen any more, in milliseconds.
const keepGateway = int64(7 * 24 * time.Hour / time.Millisecond)

// SeeGateway implements store.Store. Each gateway has a row of its own.
func (s *Store) SeeGateway(ctx context.Context, g store.Gateway) error {
	return s.write(ctx, func(tx Tx) error {
		_, err := tx.Exec(s.text.putGateway, ShortName(g.Name), visible(g.Version), Words(strings.Join(g.Plans, " ")), g.Started, s.config.Now().UnixMilli())
		return err
	})
}

// LeaveGateway implements store.Store.
func (s *Store) LeaveGateway(ctx context.Context, name string, started int64) error {
	return s.write(ctx, func(tx Tx) error {
		_, err := tx.Exec("UPDATE gateway SET started_at = -1, seen_at = ? WHERE name = ? AND started_at = ?", s.config.Now().UnixMilli(), ShortName(name), started)
		return err
	})
}

// Gateways implements store.Store.
func (s *Store) Gateways(ctx context.Context) (gateways []store.Gateway, err error) {
	err = s.read(ctx, func(r Reader) error {
		return all(ctx, r, func(scan func(...any) error) error {
			var g store.Gateway
			var plans string
			err := scan(&g.Name, &g.Version, &plans, &g.Started, &g.Seen)
			g.Plans = strings.Fields(plans)
			if g.Started < 0 { // LeaveGateway
				g.Started, g.Ended = 0, true
			}
			gateways = append(gateways, g)
			return err
		}, "SELECT name, version, plans, started_at, seen_at FROM gateway WHERE seen_at > ? ORDER BY name", s.config.Now().UnixMilli()-keepGateway)
	})
	if err != nil {
		return nil, err
	}
	return gateways, nil
}
