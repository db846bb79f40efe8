-- Stores a new session. KEYS[1]: its key. ARGV: the time at which it expires, then field, value, field, value …
if redis.call('EXISTS', KEYS[1]) == 1 then
	return 'exists'
end
write('HSET', KEYS[1], ARGV, 2)
redis.call('PEXPIREAT', KEYS[1], later(ARGV[1], MAX_CLOCK_SKEW))
return 'stored'
