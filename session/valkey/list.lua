-- Returns a page of a user's list: id, expiry, id, expiry … in descending order of expiry and then id, without expired
-- entries. KEYS[1]: the list. ARGV: now, the maximum number of entries, and the expiry and id of the entry before the page,
-- if any.

-- less compares strings by bytes, as the sorted set does. Lua's < operator depends on the server's locale.
local function less(a, b)
	for i = 1, math.min(#a, #b) do
		local x, y = string.byte(a, i), string.byte(b, i)
		if x ~= y then
			return x < y
		end
	end
	return #a < #b
end

local from = 0 -- the rank of the page's first entry
if ARGV[3] then
	from = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[3], '+inf')
	local to = from + redis.call('ZCOUNT', KEYS[1], ARGV[3], ARGV[3])
	while from < to do -- binary search among entries with the same expiry
		local middle = math.floor((from + to) / 2)
		if less(redis.call('ZREVRANGE', KEYS[1], middle, middle)[1], ARGV[4]) then
			to = middle
		else
			from = middle + 1
		end
	end
end
local to = math.min(from + tonumber(ARGV[2]), redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')) - 1
if to < from then
	return {}
end
return redis.call('ZREVRANGE', KEYS[1], from, to, 'WITHSCORES')
