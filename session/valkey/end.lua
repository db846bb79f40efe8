-- Ends a live session and returns its last hash as text. KEYS[1]: its key. ARGV: now, and 'moving' to keep the hash and
-- return it again on the next call.
local now, moving = tonumber(ARGV[1]), ARGV[2] == 'moving'
local hash, at, gone = read(KEYS[1], now)
if gone == 'ended' and moving and hash[at['@kept']] == 'moving' then
	if tonumber(hash[at['@ended']]) <= now + MAX_CLOCK_SKEW then
		return 'ended'
	end
	hash[at['@kept-expires'] - 1], hash[at['@kept-idle'] - 1] = '@expires', '@idle'
	return text(hash)
end
if gone then
	return gone
end
-- A server that is out of memory refuses to store anything, unless the script has deleted something before.
if moving then
	redis.call('HDEL', KEYS[1], '@expires', '@idle')
	redis.call('HSET', KEYS[1], '@kept', 'moving', '@kept-expires', hash[at['@expires']], '@kept-idle', hash[at['@idle']])
else
	redis.call('DEL', KEYS[1])
end
local ended = later(now, ENDED_FOR)
redis.call('HSET', KEYS[1], '@ended', ended)
redis.call('PEXPIREAT', KEYS[1], later(ended, MAX_CLOCK_SKEW))
return text(hash)
