package dynamodb

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/app/session"
)

// KeyAttribute is the table's partition key.
const KeyAttribute = attributeID

// The attributes of an item. Times are seconds of the Unix epoch, as DynamoDB's TTL wants them, but for created and
// position, which are milliseconds.
const (
	attributeID       = "id"
	attributeCreated  = "created"
	attributeExpires  = "expires"  // absolutely
	attributeTTL      = "ttl"      // by idling; DynamoDB deletes the item within days after it
	attributeUser     = "user"     // who is logged in
	attributeAgent    = "agent"    // the user agent
	attributeValues   = "values"   // a map; counters are numbers, everything else is JSON in strings
	attributeOwner    = "owner"    // of sessions with a user: the index's partition
	attributePosition = "position" // of sessions with a user: created, the index's order
	attributeEnded    = "ended"    // of a session that has ended: until when that is remembered

	ownerIndex = "owner"
)

type item = map[string]types.AttributeValue

func encode(id session.ID, r session.Record) item {
	values := make(map[string]types.AttributeValue, len(r.Values))
	for key, value := range r.Values {
		values[key] = encodeValue(value)
	}
	it := item{
		attributeID:      text(id.String()),
		attributeCreated: number(r.Created.UnixMilli()),
		attributeExpires: seconds(r.Expires),
		attributeTTL:     seconds(r.IdleExpires),
		attributeValues:  &types.AttributeValueMemberM{Value: values},
	}
	if r.User != "" {
		it[attributeUser] = text(r.User)
		it[attributeOwner] = text(owner(r.User))
		it[attributePosition] = number(r.Created.UnixMilli())
	}
	if r.UserAgent != "" {
		it[attributeAgent] = text(r.UserAgent)
	}
	return it
}

// decodeOf is decode of the answer to a request about the item of that id. Another item is an error.
func decodeOf(id session.ID, it item, now time.Time) (session.Record, error) {
	if len(it) > 0 && plain(it[attributeID]) != id.String() {
		return session.Record{}, errors.New("the answer has another item than the one asked for")
	}
	return decode(it, now)
}

// decode turns an item into a live session, or says why it isn't one.
func decode(it item, now time.Time) (session.Record, error) {
	if len(it) == 0 {
		return session.Record{}, session.ErrNotFound
	}
	if ended, ok := it[attributeEnded]; ok {
		if until, err := integer(ended); err != nil || now.Before(time.Unix(until, 0)) {
			return session.Record{}, session.ErrEnded
		}
		return session.Record{}, session.ErrNotFound
	}
	var times [3]int64
	for i, name := range []string{attributeCreated, attributeExpires, attributeTTL} {
		var err error
		if times[i], err = integer(it[name]); err != nil {
			return session.Record{}, fmt.Errorf("decode attribute %s of a session: %w", name, err)
		}
	}
	record := session.Record{
		Created: time.UnixMilli(times[0]), Expires: time.Unix(times[1], 0), IdleExpires: time.Unix(times[2], 0),
		User: plain(it[attributeUser]), UserAgent: plain(it[attributeAgent]),
	}
	if !record.Live(now) {
		return session.Record{}, session.ErrNotFound
	}
	values, _ := it[attributeValues].(*types.AttributeValueMemberM)
	if values == nil {
		return session.Record{}, fmt.Errorf("decode attribute %s of a session: it is no map", attributeValues)
	}
	record.Values = make(map[string]string, len(values.Value))
	for key, value := range values.Value {
		record.Values[key] = plain(value)
	}
	return record, nil
}

// encodeValue makes numbers of what can be a counter, since only numbers can be added to.
func encodeValue(value string) types.AttributeValue {
	n, err := strconv.ParseInt(value, 10, 64)
	if err == nil && -session.MaxCounter <= n && n <= session.MaxCounter && strconv.FormatInt(n, 10) == value {
		return &types.AttributeValueMemberN{Value: value}
	}
	return text(value)
}

// plain is the text of a string or a number, and empty for anything else.
func plain(value types.AttributeValue) string {
	switch value := value.(type) {
	case *types.AttributeValueMemberS:
		return value.Value
	case *types.AttributeValueMemberN:
		return value.Value
	default:
		return ""
	}
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func integer(value types.AttributeValue) (int64, error) {
	return strconv.ParseInt(plain(value), 10, 64)
}

// seconds rounds up, so that a session never ends early.
func seconds(t time.Time) types.AttributeValue { return number(ceil(t)) }

func ceil(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// owner is the index's partition of a user's sessions. Hashing bounds its length.
func owner(user string) string {
	sum := sha256.Sum256([]byte(user))
	return "user:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
