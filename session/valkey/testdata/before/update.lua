-- Changes a live session, all or nothing, and returns its hash as text. KEYS[1]: its key. ARGV: now, its new idle expiry,
-- its largest size, then operation, key, value of each change.
local now, most = tonumber(ARGV[1]), tonumber(ARGV[3])
local hash = redis.call('HGETALL', KEYS[1]) -- fields and values in turn
local at = {} -- where in it each field's value is
for i = 2, #hash, 2 do
	at[hash[i - 1]] = i
end
if at['@ended'] and tonumber(hash[at['@ended']]) > now then
	return 'ended'
end
local expires = hash[at['@expires']]
if not expires or tonumber(expires) <= now or tonumber(hash[at['@idle']]) <= now then
	return 'missing'
end

local set, removed = { '@idle', ARGV[2] }, {}
for i = 4, #ARGV, 3 do
	local operation, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	if operation == 'add' then
		local current = hash[at[key]] or '0'
		if current ~= '0' and not string.match(current, '^-?[1-9]%d*$') then
			return 'counter'
		end
		-- Doubles are exact below 2^53, and what would leave that is refused.
		local sum = tonumber(current) + tonumber(value)
		if math.abs(sum) > 9007199254740991 or math.abs(tonumber(current)) > 9007199254740991 then
			return 'counter'
		end
		value = string.format('%.0f', sum)
	end
	if operation ~= 'remove' then
		set[#set + 1], set[#set + 2] = key, value
	elseif at[key] then
		removed[#removed + 1] = key
		-- The last field moves to its place.
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

local text = table.concat(hash, '\0\255')
if #text > most then -- the text is longer than what counts
	local size = 0
	for i = 2, #hash, 2 do
		local field = hash[i - 1]
		if field == '@user' or field == '@agent' then
			size = size + #hash[i]
		elseif string.sub(field, 1, 1) ~= '@' then
			size = size + #field + #hash[i]
		end
	end
	if size > most then
		return 'too large'
	end
end

-- In parts, since what a call takes is bounded.
for i = 1, #set, 1000 do
	redis.call('HSET', KEYS[1], unpack(set, i, math.min(i + 999, #set)))
end
for i = 1, #removed, 1000 do
	redis.call('HDEL', KEYS[1], unpack(removed, i, math.min(i + 999, #removed)))
end
if tonumber(ARGV[2]) < tonumber(expires) then
	expires = ARGV[2]
end
redis.call('PEXPIREAT', KEYS[1], expires)
return text
