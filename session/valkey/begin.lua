-- Every script begins with this, after what newScript sets. Times are in milliseconds.

-- later returns a time plus a duration, in the form that commands take.
local function later(time, duration)
	return string.format('%.0f', tonumber(time) + duration)
end

-- read returns the hash of a session: its fields and values in turn, where in it each field's value is, and 'ended' or
-- 'missing' for a session that isn't live.
local function read(key, now)
	local hash, at = redis.call('HGETALL', key), {}
	for i = 2, #hash, 2 do
		at[hash[i - 1]] = i
	end
	if at['@ended'] then
		local ended = tonumber(hash[at['@ended']])
		return hash, at, (ended and ended <= now) and 'missing' or 'ended'
	end
	local expires, idle = tonumber(hash[at['@expires']]), tonumber(hash[at['@idle']])
	if not expires or not idle or expires <= now or idle <= now then
		return hash, at, 'missing'
	end
	return hash, at
end

-- write calls a command with a list, from its element first on, in parts: what one call takes is bounded.
local function write(command, key, list, first)
	for i = first, #list, 1000 do
		redis.call(command, key, unpack(list, i, math.min(i + 999, #list)))
	end
end

-- text returns a hash as one string.
local function text(hash)
	return table.concat(hash, '\0\255')
end

