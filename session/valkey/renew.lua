-- Moves a session to a new id and returns the new hash as text. KEYS: the old key, the new key. ARGV: now, 'again' to allow
-- an old session that was renewed before, 'keep' to keep the values of another user, the new user, the time at which the new
-- session expires, then its fields: field, value, field, value …
local now = tonumber(ARGV[1])
local new, _, gone = read(KEYS[2], now)
if #new > 0 then -- the renewal was done before
	return gone or text(new)
end
local old, at, gone = read(KEYS[1], now)
if gone and not (gone == 'ended' and ARGV[2] == 'again' and old[at['@kept']] == 'renewed') then
	return gone
end
for i = 6, #ARGV do
	new[#new + 1] = ARGV[i]
end
local user = old[at['@user']] or ''
if ARGV[3] == 'keep' or user == '' or user == ARGV[4] then
	for i = 2, #old, 2 do
		if string.sub(old[i - 1], 1, 1) ~= '@' then
			new[#new + 1], new[#new + 2] = old[i - 1], old[i]
		end
	end
end
-- A server that is out of memory refuses the first of these commands, before anything has changed.
write('HSET', KEYS[2], new, 1)
redis.call('PEXPIREAT', KEYS[2], later(ARGV[5], MAX_CLOCK_SKEW))
if not gone then
	local ended = later(now, ENDED_FOR)
	redis.call('HSET', KEYS[1], '@ended', ended, '@kept', 'renewed')
	redis.call('HDEL', KEYS[1], '@created', '@expires', '@idle', '@agent')
	redis.call('PEXPIREAT', KEYS[1], later(ended, MAX_CLOCK_SKEW))
end
return text(new)
