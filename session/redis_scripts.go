package session

import "github.com/redis/go-redis/v9"

// Answers of the scripts.
const (
	missing = 0
	taken   = -1
	refused = -2
)

// The scripts change a record and the index of its user in one step. All keys of
// one call are in one slot; those of records that only the index names are built
// from the index's own tag. Expiries are absolute, so that a write that arrives
// late prolongs nothing. Each may be repeated: a record that already holds what is
// to be written was written by an earlier attempt. What a value consists of stands in
// redis_value.go.

// createScript. KEYS: record, index. ARGV: id, value, expiry, deadline in seconds, most
// sessions of the user (0: any), beginning of record keys, WhenFull. Answers with a
// number and the ids of the sessions that it has ended.
var createScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held then
	return {string.sub(held, 7) == string.sub(ARGV[2], 7) and 1 or -1}
end
local max, live, dead = tonumber(ARGV[5]), {}, {}
if max > 0 and redis.call('ZCARD', KEYS[2]) >= max then
	-- Sessions that ended unused still have entries, which must not cost a live
	-- one its place.
	for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
		local list = redis.call('EXISTS', ARGV[6] .. id) == 1 and live or dead
		list[#list + 1] = id
	end
	if ARGV[7] == '1' and #live >= max then
		return {-2}
	end
end
-- The first write: once there was one, Redis refuses nothing for want of memory.
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
local answer = {1}
for i = 1, math.min(#live, #live - max + 1) do
	redis.call('DEL', ARGV[6] .. live[i])
	redis.call('ZREM', KEYS[2], live[i])
	answer[#answer + 1] = live[i]
end
for _, id in ipairs(dead) do
	redis.call('ZREM', KEYS[2], id)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. redis.call('TIME')[1])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('EXPIREAT', KEYS[2], last[2])
return answer
`)

// updateScript. KEYS: record. ARGV: beginning of the data as read, new value, expiry,
// mark as seen. A record without expiry is nobody's session. The stamp in front of the
// data, of which touches and marks make another one, is not compared. A repeated write
// writes nothing: a mark that came in between must stay.
var updateScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if not held or #held < 6 or redis.call('PTTL', KEYS[1]) < 0 then
	return 0
end
local first = string.byte(held)
local label = ''
if first >= 128 then
	label = string.sub(held, -1 - string.byte(held, -1))
end
local data = string.sub(held, 7, #held - #label)
if data == string.sub(ARGV[2], 7) then
	return 1
end
if string.sub(data, 1, #ARGV[1]) ~= ARGV[1] then
	return -1
end
local flags = first - first % 8
local mark = flags % 128
if mark == ARGV[4] * 8 then
	flags = flags - mark
end
local stamp = string.char(string.byte(ARGV[2]) + flags)
redis.call('SET', KEYS[1], stamp .. string.sub(ARGV[2], 2) .. label, 'PXAT', ARGV[3])
return 1
`)

// touchScript. KEYS: record. ARGV: stamp without flags, expiry. It shortens nothing: a
// touch can be late, or from an instance whose clock is. The expiry is written last: one
// that is past deletes the key, and nothing may bring it back.
var touchScript = redis.NewScript(`
local held = redis.call('GETRANGE', KEYS[1], 0, 5)
if #held < 6 or redis.call('PTTL', KEYS[1]) < 0 then
	return 0
end
local function time(stamp)
	local n = string.byte(stamp) % 8
	for i = 2, 6 do
		n = 256 * n + string.byte(stamp, i)
	end
	return n
end
if time(held) >= time(ARGV[1]) then
	return 1
end
local first = string.byte(held)
local stamp = string.char(string.byte(ARGV[1]) + first - first % 8)
redis.call('SETRANGE', KEYS[1], 0, stamp .. string.sub(ARGV[1], 2))
return redis.call('PEXPIREAT', KEYS[1], ARGV[2])
`)

// deleteScript. KEYS: record, index. ARGV: id.
var deleteScript = redis.NewScript(`
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
`)

// deleteListedScript. KEYS: index. ARGV: id, beginning of record keys.
var deleteListedScript = redis.NewScript(`
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then
	return 0
end
return redis.call('DEL', ARGV[2] .. ARGV[1])
`)

// eachSession is how scripts begin that go through the live sessions of a user. KEYS:
// index. ARGV: beginning of record keys, most entries to look at, id and deadline of
// the last session of the page before. It calls visit, which it is followed by, and
// answers with 1 if there may be more, and the rows that visit returned. If the last
// session of the page before has ended, some come a second time, but none is left out.
const eachSession = `
local visit
local function page()
	local from = 0
	if ARGV[3] ~= '' then
		local rank = redis.call('ZRANK', KEYS[1], ARGV[3])
		from = rank and rank + 1 or redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[4])
	end
	local entries = redis.call('ZRANGE', KEYS[1], from, from + ARGV[2] - 1, 'WITHSCORES')
	local rows = {#entries == 2 * ARGV[2] and 1 or 0}
	for i = 1, #entries, 2 do
		local key = ARGV[1] .. entries[i]
		local stamp = redis.call('GETRANGE', key, 0, 5)
		-- A member without a name would be taken for the beginning of the next page.
		if #stamp == 6 and entries[i] ~= '' and redis.call('PTTL', key) >= 0 then
			rows[#rows + 1] = visit(key, entries[i], tonumber(entries[i + 1]), stamp)
		else
			redis.call('DEL', key) -- one without expiry, or of another form, if any
			redis.call('ZREM', KEYS[1], entries[i])
		end
	end
	return rows
end
`

// listScript has rows of id, deadline in seconds, stamp and label.
var listScript = redis.NewScript(eachSession + `
visit = function(key, id, deadline, stamp)
	local label = ''
	if string.byte(stamp) >= 128 then
		label = redis.call('GETRANGE', key, -256, -1)
		label = string.sub(label, -1 - string.byte(label, -1), -2)
	end
	return {id, deadline, stamp, label}
end
return page()
`)

// markScript has rows of id and deadline. The flags are the upper bits of the first
// byte: to overwrite that changes no expiry.
var markScript = redis.NewScript(eachSession + `
visit = function(key, id, deadline, stamp)
	local first = string.byte(stamp)
	local mark = (first % 128 - first % 8) / 8
	redis.call('SETRANGE', key, 0, string.char(first + (mark % 15 + 1 - mark) * 8))
	return {id, deadline}
end
return page()
`)

// deleteUserScript. KEYS: index. ARGV: id to keep, beginning of record keys, most
// entries to look at. Answers with 1 if there are more, and the ids of the sessions
// that there were.
var deleteUserScript = redis.NewScript(`
local answer, entries, kept = {0}, {}, 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[3])) do
	if id == ARGV[1] then
		kept = 1
	else
		if redis.call('DEL', ARGV[2] .. id) == 1 then
			answer[#answer + 1] = id
		end
		entries[#entries + 1] = id
	end
end
if #entries > 0 then
	redis.call('ZREM', KEYS[1], unpack(entries))
end
if redis.call('ZCARD', KEYS[1]) > kept then
	answer[1] = 1
end
return answer
`)

// swapScript. KEYS: claim. ARGV: 1 if the held value matters, that value, new claim or
// nothing, its life in milliseconds. Who claimed stands in front of the value, see
// redisStore.Claim: a claim that is the new one already was written by an earlier attempt.
var swapScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if ARGV[1] == '1' and held ~= ARGV[3] and (not held or string.sub(held, 9) ~= ARGV[2]) then
	return 0
end
if ARGV[3] == '' then
	redis.call('DEL', KEYS[1])
else
	redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 1
`)
