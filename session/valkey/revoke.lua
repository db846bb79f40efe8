-- Adds an entry to the list of revocations. KEYS: the sorted sets of the entries by time and by expiry. ARGV: the entry, its time
-- (both in microseconds), its expiry and the time before which entries have expired (in seconds). Returns the entry's time.
local at, expires = ARGV[2], ARGV[3]
local earlier = redis.call('ZSCORE', KEYS[1], ARGV[1])
if earlier then
	if string.sub(ARGV[1], 1, 1) == 's' then
		return string.format('%.0f', tonumber(earlier))
	end
	at = string.format('%.0f', math.max(tonumber(at), tonumber(earlier) + 1))
	local last = redis.call('ZSCORE', KEYS[2], ARGV[1])
	expires = string.format('%.0f', math.max(tonumber(expires), tonumber(last or 0)))
end
redis.call('ZADD', KEYS[1], at, ARGV[1]) -- first, because a server that is out of memory refuses it
redis.call('ZADD', KEYS[2], expires, ARGV[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[4], 'LIMIT', 0, 100)
if #expired > 0 then
	redis.call('ZREM', KEYS[1], unpack(expired))
	redis.call('ZREM', KEYS[2], unpack(expired))
end
return at
