-- Applies all changes to a live session or none, and returns its hash as text. KEYS[1]: its key. ARGV: now, the new idle
-- expiry of a session without its own idle timeout, the time from which another session's own counts, the maximum size, then
-- operation, key, value of each change. The value of a removal is its condition, or empty.
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[4])
local hash, at, gone = read(KEYS[1], now)
if gone then
	return gone
end

local idle = at['@timeout'] and later(ARGV[3], tonumber(hash[at['@timeout']])) or ARGV[2]
local set, removed = { '@idle', idle }, {}
for i = 5, #ARGV, 3 do
	local operation, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	if operation == 'add' then
		local current = hash[at[key]] or '0'
		if current ~= '0' and not string.match(current, '^-?[1-9]%d*$') then
			return 'counter'
		end
		-- Numbers are doubles, which are exact in the range of MAX_COUNTER. A larger sum is refused.
		local before, n = tonumber(current), tonumber(value)
		local sum = before + n
		if math.max(math.abs(before), math.abs(n), math.abs(sum)) > MAX_COUNTER then
			return 'counter'
		end
		value = string.format('%.0f', sum)
	end
	if operation == 'remove' and value ~= '' and hash[at[key]] ~= value then
		return 'changed'
	end
	if operation ~= 'remove' then
		set[#set + 1], set[#set + 2] = key, value
	elseif at[key] then
		removed[#removed + 1] = key
		-- Move the last field into its place.
		local place, last = at[key], #hash
		hash[place - 1], hash[place] = hash[last - 1], hash[last]
		at[hash[last - 1]] = place
		at[key] = nil
		hash[last - 1], hash[last] = nil, nil
	end
end
for i = 2, #set, 2 do
	local place = at[set[i - 1]] or #hash + 2
	hash[place - 1], hash[place] = set[i - 1], set[i]
end

local reply = text(hash)
if #reply > limit then -- a shorter reply can't exceed the limit: it contains more than the counted bytes
	local size = 0
	for i = 2, #hash, 2 do
		local field = hash[i - 1]
		if field == '@user' or field == '@agent' then
			size = size + #hash[i]
		elseif string.sub(field, 1, 1) ~= '@' then
			size = size + #field + #hash[i]
		end
	end
	if size > limit then
		return 'too large'
	end
end

write('HSET', KEYS[1], set, 1)
write('HDEL', KEYS[1], removed, 1)
local expires = math.min(tonumber(hash[at['@expires']]), tonumber(idle))
redis.call('PEXPIREAT', KEYS[1], later(expires, MAX_CLOCK_SKEW))
return reply
