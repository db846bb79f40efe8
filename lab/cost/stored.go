package cost

// A storedSize is the number of bytes that a session takes in the memory of a cache, or on the disk of a database with its indexes.
type storedSize struct {
	Linear
	user float64 // in addition for a session with a user
}

// storedSizes returns what the experiment scale measured, for stores other than DynamoDB, which bills the size of the item.
func storedSizes() map[string]storedSize {
	return map[string]storedSize{
		"valkey":    {Linear{806, 1.04}, 206},
		"memcached": {Linear{192, 1.19}, 0},
		"postgres":  {Linear{480, 1.37}, 74},
	}
}

// storedBytes returns the bytes that a session takes, on average, in a store other than DynamoDB.
func (t Traffic) storedBytes(store string) float64 {
	size := storedSizes()[store]
	return size.at(t.SessionBytes) + t.Logins*size.user
}
