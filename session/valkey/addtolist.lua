-- Adds a session to its user's list, a sorted set by expiry. KEYS[1]: the list. ARGV: now, expiry, id.
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3]) -- first, because a server that is out of memory refuses it
-- Keep entries that expired less than ENDED_FOR ago: for a server whose clock is behind they are still live.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', later(ARGV[1], -ENDED_FOR))
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
	redis.call('PEXPIREAT', KEYS[1], later(last[2], MAX_CLOCK_SKEW))
end
return 'stored'
