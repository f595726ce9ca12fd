package sqlite

import (
	"context"
	"fmt"

	"exipol/helper/engine"
)

// Places are how far each gateway has read its logs, sorted by gateway and log.
func (s *Store) Places(ctx context.Context) ([]engine.PutPlace, error) {
	rows, err := s.readDB.QueryContext(ctx, "SELECT gateway, log, place, read_at FROM log_place ORDER BY gateway, log")
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	defer rows.Close()
	var all []engine.PutPlace
	for rows.Next() {
		var p engine.PutPlace
		var log []byte
		if err := rows.Scan(&p.Gateway, &log, &p.Place, &p.At); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
		}
		p.Log = string(log)
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store %s: %w", s.path, classify(err))
	}
	return all, nil
}
