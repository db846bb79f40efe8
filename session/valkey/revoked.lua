-- Returns a page of the list of revocations: entry, time, expiry, entry, time, expiry … in the order of their times. KEYS as in
-- revoke.lua. ARGV: the range's first score, and the number of entries, which is exceeded by those with the time of the last.
local page = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
if #page == 2 * tonumber(ARGV[2]) then
	local last = page[#page]
	while #page > 0 and page[#page] == last do
		page[#page], page[#page - 1] = nil, nil
	end
	for _, value in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], last, last, 'WITHSCORES')) do
		page[#page + 1] = value
	end
end
local list = {}
for i = 1, #page, 2 do
	list[#list + 1] = page[i]
	list[#list + 1] = string.format('%.0f', tonumber(page[i + 1]))
	list[#list + 1] = redis.call('ZSCORE', KEYS[2], page[i]) or '0'
end
return list
