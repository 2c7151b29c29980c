package session

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// userPage is how many sessions of a user one script handles: with more, those of
// others would wait. It takes Redis about a millisecond.
const userPage = 500

var errAnswer = errors.New("session: a script answered something else")

func (s *redisStore) List(ctx context.Context, user Key) ([]Entry, error) {
	rows, err := s.rows(ctx, listScript, user)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		if entries[i], err = parseEntry(row); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// parseEntry reads a row of listScript: id, deadline, stamp, label.
func parseEntry(row []any) (Entry, error) {
	if len(row) != 4 {
		return Entry{}, errAnswer
	}
	id, ok1 := row[0].(string)
	deadline, ok2 := row[1].(int64)
	stamp, ok3 := row[2].(string)
	label, ok4 := row[3].(string)
	expires, _, _, ok5 := parseStamp(stamp)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return Entry{}, errAnswer
	}
	e := Entry{ID: id, Expires: expires, Deadline: time.Unix(deadline, 0)}
	if label != "" {
		e.Label = []byte(label)
	}
	return e, nil
}

func (s *redisStore) Mark(ctx context.Context, user Key) ([]string, error) {
	rows, err := s.rows(ctx, markScript, user)
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i], _ = row[0].(string)
	}
	return ids, err
}

// rows runs a script that begins with eachSession page by page and returns its rows,
// each of which begins with id and deadline. With an error, it returns those that
// came before.
func (s *redisStore) rows(ctx context.Context, script *redis.Script, user Key) ([][]any, error) {
	var rows [][]any
	var seen map[string]bool
	var lastID string
	var lastDeadline int64
	for {
		page, err := ask(ctx, s, s.index(user), func(ctx context.Context) ([]any, error) {
			return script.Run(ctx, s.client, []string{s.index(user)}, s.records(user), userPage, lastID, lastDeadline).Slice()
		})
		if err != nil {
			return rows, err
		}
		if len(page) == 0 {
			return rows, errAnswer
		}
		more := page[0] == int64(1)
		if more && seen == nil {
			seen = make(map[string]bool)
		}
		for _, row := range page[1:] {
			row, _ := row.([]any)
			if len(row) < 2 {
				return rows, errAnswer
			}
			lastID, _ = row[0].(string)
			lastDeadline, _ = row[1].(int64)
			if seen != nil {
				if seen[lastID] {
					continue
				}
				seen[lastID] = true
			}
			rows = append(rows, row)
		}
		if !more {
			return rows, nil
		}
	}
}

func (s *redisStore) DeleteListed(ctx context.Context, user Key, id string) error {
	_, err := s.run(ctx, deleteListedScript, []string{s.index(user)}, id, s.records(user))
	return err
}

func (s *redisStore) DeleteUser(ctx context.Context, user Key, keep string) ([]string, error) {
	var ids []string
	for {
		page, err := ask(ctx, s, s.index(user), func(ctx context.Context) ([]any, error) {
			return deleteUserScript.Run(ctx, s.client, []string{s.index(user)}, keep, s.records(user), userPage).Slice()
		})
		if err != nil {
			return ids, err
		}
		if len(page) == 0 {
			return ids, errAnswer
		}
		for _, id := range page[1:] {
			id, _ := id.(string)
			ids = append(ids, id)
		}
		if page[0] != int64(1) {
			return ids, nil
		}
	}
}
