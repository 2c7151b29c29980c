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

// createScript. KEYS: record, index. ARGV: id, value, expiry, deadline and now in
// seconds, most sessions of the user (0: any), beginning of record keys.
var createScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held then
	return string.sub(held, 7) == string.sub(ARGV[2], 7) and 1 or -1
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
		if id == ARGV[1] then
			max = max - 1 -- the new one stays, even if its deadline is not the last
		elseif redis.call('EXISTS', ARGV[7] .. id) == 1 then
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
redis.call('EXPIREAT', KEYS[2], last[2])
return 1
`)

// updateScript. KEYS: record. ARGV: beginning of the data as read, new value, expiry.
// A record without expiry is nobody's session. The stamp in front of the data, of
// which touches make another one, is not compared.
var updateScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if not held or redis.call('PTTL', KEYS[1]) < 0 then
	return 0
end
held = string.sub(held, 7)
if string.sub(held, 1, #ARGV[1]) ~= ARGV[1] and held ~= string.sub(ARGV[2], 7) then
	return -1
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
`)

// touchScript. KEYS: record. ARGV: stamp, expiry. The expiry comes last: one that is
// past deletes the key, and nothing may bring it back.
var touchScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then
	return 0
end
redis.call('SETRANGE', KEYS[1], 0, ARGV[1])
return redis.call('PEXPIREAT', KEYS[1], ARGV[2])
`)

// deleteScript. KEYS: record, index. ARGV: id.
var deleteScript = redis.NewScript(`
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
`)

// listScript. KEYS: index. ARGV: beginning of record keys. Answers with id,
// deadline in seconds and milliseconds left of each live session.
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

// deleteUserScript. KEYS: index. ARGV: id to keep, beginning of record keys. Answers
// with the ids of the sessions that there were.
var deleteUserScript = redis.NewScript(`
local ids = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
	if id ~= ARGV[1] then
		if redis.call('DEL', ARGV[2] .. id) == 1 then
			ids[#ids + 1] = id
		end
		redis.call('ZREM', KEYS[1], id)
	end
end
return ids
`)
