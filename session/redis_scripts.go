package session

import "github.com/redis/go-redis/v9"

// Answers of the scripts.
const (
	missing = 0
	taken   = -1
)

// The scripts change a record and the index of its user in one step. All keys of
// one call are in one slot; those of records that only the index names are built
// from the index's own tag. Expiries are absolute, so that a write that arrives
// late prolongs nothing. Each may be repeated: a record that already holds what is
// to be written was written by an earlier attempt.

// createScript. KEYS: record, index. ARGV: id, data, expiry, deadline, now, most
// sessions of the user (0: any), beginning of record keys.
var createScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held then
	return held == ARGV[2] and 1 or -1
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
local max = tonumber(ARGV[6])
if max > 0 and redis.call('ZCARD', KEYS[2]) > max then
	-- Sessions that ended unused still have entries, which must not cost a live
	-- one its place.
	local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
	local live = {}
	for _, id in ipairs(ids) do
		if redis.call('EXISTS', ARGV[7] .. id) == 1 then
			live[#live + 1] = id
		else
			redis.call('ZREM', KEYS[2], id)
		end
	end
	for i = 1, #live - max do
		redis.call('DEL', ARGV[7] .. live[i])
		redis.call('ZREM', KEYS[2], live[i])
	end
end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], last[2])
return 1
`)

// updateScript. KEYS: record. ARGV: data as read, new data, expiry. A record
// without expiry is nobody's session.
var updateScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if not held or redis.call('PTTL', KEYS[1]) < 0 then
	return 0
end
if held ~= ARGV[1] and held ~= ARGV[2] then
	return -1
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
`)

// deleteScript. KEYS: record, index. ARGV: id.
var deleteScript = redis.NewScript(`
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
`)

// listScript. KEYS: index. ARGV: beginning of record keys. Answers with id,
// deadline and milliseconds left of each live session.
var listScript = redis.NewScript(`
local rows = {}
local entries = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #entries, 2 do
	local left = redis.call('PTTL', ARGV[1] .. entries[i])
	if left >= 0 then
		rows[#rows + 1] = entries[i]
		rows[#rows + 1] = tonumber(entries[i + 1])
		rows[#rows + 1] = left
	else
		redis.call('ZREM', KEYS[1], entries[i])
	end
end
return rows
`)

// deleteUserScript. KEYS: index. ARGV: id to keep, beginning of record keys.
var deleteUserScript = redis.NewScript(`
local n = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
	if id ~= ARGV[1] then
		n = n + redis.call('DEL', ARGV[2] .. id)
		redis.call('ZREM', KEYS[1], id)
	end
end
return n
`)
