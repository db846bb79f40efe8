-- Stores a new session. KEYS[1]: its key. ARGV: when the key expires, then field, value, field, value …
if redis.call('EXISTS', KEYS[1]) == 1 then
	return 'exists'
end
for i = 2, #ARGV, 2 do
	redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return 'stored'
