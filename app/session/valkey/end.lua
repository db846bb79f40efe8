-- Ends a live session and returns its last fields as text. KEYS[1]: its key. ARGV: now, until when the end is remembered.
local now = tonumber(ARGV[1])
local flat = redis.call('HGETALL', KEYS[1])
local fields, text = {}, {}
for i = 1, #flat, 2 do
	fields[flat[i]] = flat[i + 1]
	text[#text + 1] = #flat[i] .. ':' .. flat[i] .. #flat[i + 1] .. ':' .. flat[i + 1]
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
return table.concat(text)
