package dynamodb

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
)

// KeyAttribute is the name of the table's partition key.
const KeyAttribute = attributeID

// The attributes of an item. Times are seconds since the Unix epoch, as DynamoDB's TTL requires, except created and position,
// which are milliseconds.
//
// A tombstone has the attribute ended, but not expires, owner and position. Therefore the condition live is false for it, and
// it is not in the index. The state that it keeps has the same attributes as a live session, except the two expiries.
const (
	attributeID       = "id"
	attributeCreated  = "created"
	attributeExpires  = "expires"  // absolute expiry
	attributeTTL      = "ttl"      // idle expiry; DynamoDB deletes the item within days after it
	attributeTimeout  = "timeout"  // the session's own idle timeout in seconds; missing if it has none
	attributeUser     = "user"     // user who is logged in
	attributeAgent    = "agent"    // user agent
	attributeValues   = "values"   // a map; counters are numbers, everything else is JSON in strings
	attributeOwner    = "owner"    // partition key of the index, if the session has a user
	attributePosition = "position" // sort key of the index (created), if the session has a user

	attributeEnded       = "ended"        // expiry of the tombstone, equal to ttl
	attributeKept        = "kept"         // purpose for which the tombstone keeps the last state
	attributeKeptExpires = "kept_expires" // expires of the kept session
	attributeKeptIdle    = "kept_idle"    // ttl of the kept session

	ownerIndex = "owner"
)

// The values of the attribute kept.
const (
	keptForLogin = "login" // the session was renewed
	keptForMove  = "move"  // the session moves to another store
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
	if r.IdleTimeout > 0 {
		it[attributeTimeout] = number(int64((r.IdleTimeout + time.Second - 1) / time.Second))
	}
	return it
}

// decodeOf decodes the item in the reply to a request with the given id. It returns an error if the item has another id.
func decodeOf(id session.ID, it item, now time.Time) (session.Record, error) {
	if len(it) > 0 && attributeText(it[attributeID]) != id.String() {
		return session.Record{}, errors.New("DynamoDB replied with another item than the requested one")
	}
	return decode(it, now)
}

// decode returns the live session in an item. If there is none, it returns session.ErrNotFound or session.ErrEnded.
func decode(it item, now time.Time) (session.Record, error) {
	record, err := decodeMeta(it, now)
	if err != nil {
		return session.Record{}, err
	}
	return decodeValues(it, record)
}

// decodeMeta does the same as decode, but without the values, which the item may lack.
func decodeMeta(it item, now time.Time) (session.Record, error) {
	if len(it) == 0 {
		return session.Record{}, session.ErrNotFound
	}
	if ended, ok := it[attributeEnded]; ok {
		if until, err := integer(ended); err != nil || now.Before(time.Unix(until, 0)) {
			return session.Record{}, session.ErrEnded
		}
		return session.Record{}, session.ErrNotFound
	}
	record, err := decodeState(it, attributeExpires, attributeTTL)
	if err == nil && !record.Live(now) {
		err = session.ErrNotFound
	}
	if err != nil {
		return session.Record{}, err
	}
	return record, nil
}

// decodeKept returns the state that a tombstone keeps for the given purpose, and the expiry of the tombstone. It reports false if
// the tombstone keeps nothing for that purpose.
func decodeKept(it item, kept string) (record session.Record, until time.Time, ok bool) {
	if attributeText(it[attributeKept]) != kept {
		return session.Record{}, time.Time{}, false
	}
	seconds, err := integer(it[attributeEnded])
	if err == nil {
		record, err = decodeState(it, attributeKeptExpires, attributeKeptIdle)
	}
	if err == nil {
		record, err = decodeValues(it, record)
	}
	if err != nil {
		return session.Record{}, time.Time{}, false
	}
	return record, time.Unix(seconds, 0), true
}

// decodeState decodes everything except the values. The parameters expires and idle name the attributes of the two expiries.
func decodeState(it item, expires, idle string) (session.Record, error) {
	var times [3]int64
	for i, name := range []string{attributeCreated, expires, idle} {
		var err error
		if times[i], err = integer(it[name]); err != nil {
			return session.Record{}, fmt.Errorf("decode attribute %s of a session: %w", name, err)
		}
	}
	var timeout int64
	if stored, ok := it[attributeTimeout]; ok {
		var err error
		if timeout, err = integer(stored); err != nil {
			return session.Record{}, fmt.Errorf("decode attribute %s of a session: %w", attributeTimeout, err)
		}
	}
	return session.Record{
		Created: time.UnixMilli(times[0]), Expires: time.Unix(times[1], 0), IdleExpires: time.Unix(times[2], 0),
		IdleTimeout: time.Duration(timeout) * time.Second,
		User:        attributeText(it[attributeUser]), UserAgent: attributeText(it[attributeAgent]),
	}, nil
}

// decodeValues adds the values of an item to its record.
func decodeValues(it item, record session.Record) (session.Record, error) {
	values, _ := it[attributeValues].(*types.AttributeValueMemberM)
	if values == nil {
		return session.Record{}, fmt.Errorf("decode attribute %s of a session: it is no map", attributeValues)
	}
	record.Values = make(map[string]string, len(values.Value))
	for key, value := range values.Value {
		record.Values[key] = attributeText(value)
	}
	return record, nil
}

// encodeValue encodes integers in the range of a counter as numbers, because DynamoDB can add only to numbers.
func encodeValue(value string) types.AttributeValue {
	n, err := strconv.ParseInt(value, 10, 64)
	if err == nil && -session.MaxCounter <= n && n <= session.MaxCounter && strconv.FormatInt(n, 10) == value {
		return &types.AttributeValueMemberN{Value: value}
	}
	return text(value)
}

// attributeText returns the text of a string or a number, and "" for any other type.
func attributeText(value types.AttributeValue) string {
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
	return strconv.ParseInt(attributeText(value), 10, 64)
}

// seconds rounds up to a second, so that a session never ends early.
func seconds(t time.Time) types.AttributeValue { return number(ceil(t)) }

func ceil(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// owner returns the partition of the index for a user's sessions. Hashing bounds its length.
func owner(user string) string {
	sum := sha256.Sum256([]byte(user))
	return "user:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
