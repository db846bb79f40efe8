package cost

// A storedSize is the number of bytes that a session takes in the memory of a cache, or on the disk of a database with its indexes.
type storedSize struct {
	Linear
	user float64 // in addition for a session with a user
}

// storedSizes returns what the experiment scale measured, for stores other than DynamoDB, which bills the size of the item.
func storedSizes() map[string]storedSize {
	return map[string]storedSize{
		"valkey":    {Linear{1177, 0.96}, 198},
		"memcached": {Linear{289, 1.31}, -4},
		"postgres":  {Linear{520, 0.95}, 75},
	}
}

// storedBytes returns the bytes that a session takes, on average, in a store other than DynamoDB.
func (t Traffic) storedBytes(store string) float64 {
	size := storedSizes()[store]
	return size.at(t.SessionBytes) + t.Logins*size.user
}
