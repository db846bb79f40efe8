-- Ends a live session and returns its last hash as text. KEYS[1]: its key. ARGV: now, until when the end is remembered.
local now = tonumber(ARGV[1])
local hash, fields = redis.call('HGETALL', KEYS[1]), {}
for i = 2, #hash, 2 do
	fields[hash[i - 1]] = hash[i]
end
if fields['@ended'] and tonumber(fields['@ended']) > now then
	return 'ended'
end
if not fields['@expires'] or tonumber(fields['@expires']) <= now or tonumber(fields['@idle']) <= now then
	return 'missing'
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '@ended', ARGV[2])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return table.concat(hash, '\0\255')
