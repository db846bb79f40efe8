-- newScript puts this text, and the constants that it uses, before every script. Times are in milliseconds.

-- later returns a time plus a duration, formatted as an argument of a command.
local function later(time, duration)
	return string.format('%.0f', tonumber(time) + duration)
end

-- read returns the hash of a session (fields and values alternating), a table that maps each field to the index of its value
-- in the hash, and 'ended' or 'missing' if the session isn't live.
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

-- write calls a command with the elements of a list from index first on, in batches: Lua limits the arguments of a call.
local function write(command, key, list, first)
	for i = first, #list, 1000 do
		redis.call(command, key, unpack(list, i, math.min(i + 999, #list)))
	end
end

-- text returns a hash as one string, which decodeReply decodes.
local function text(hash)
	return table.concat(hash, '\0\255')
end

