-- Changes a live session, all or nothing, and returns its fields as text.
-- KEYS[1]: its key. ARGV: now, its new idle expiry, its largest size, then operation, key, value of each change.
local now = tonumber(ARGV[1])
local fields = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
	fields[flat[i]] = flat[i + 1]
end
if fields['@ended'] and tonumber(fields['@ended']) > now then
	return 'ended'
end
if not fields['@expires'] or tonumber(fields['@expires']) <= now or tonumber(fields['@idle']) <= now then
	return 'missing'
end

local changed = { ['@idle'] = ARGV[2] }
for i = 4, #ARGV, 3 do
	local operation, key, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
	if operation == 'add' then
		local current = fields[key] or '0'
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
	changed[key] = operation ~= 'remove' and value
end
for field, value in pairs(changed) do
	fields[field] = value or nil
end

local size, text = 0, {}
for field, value in pairs(fields) do
	if field == '@user' or field == '@agent' then
		size = size + #value
	elseif string.sub(field, 1, 1) ~= '@' then
		size = size + #field + #value
	end
	text[#text + 1] = #field .. ':' .. field .. #value .. ':' .. value
end
if size > tonumber(ARGV[3]) then
	return 'too large'
end

for field, value in pairs(changed) do
	if value then
		redis.call('HSET', KEYS[1], field, value)
	else
		redis.call('HDEL', KEYS[1], field)
	end
end
if tonumber(ARGV[2]) < tonumber(fields['@expires']) then
	redis.call('PEXPIREAT', KEYS[1], ARGV[2])
else
	redis.call('PEXPIREAT', KEYS[1], fields['@expires'])
end
return table.concat(text)
