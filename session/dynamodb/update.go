package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
)

// maxExpression is the maximum length of an expression in bytes, below DynamoDB's limit of 4,096 (Amazon DynamoDB Developer
// Guide, "Quotas"). Such an expression also has fewer than the 300 operators that are allowed, because each operator takes at
// least 16 bytes here.
const maxExpression = 4000

// errContended means that every attempt to change the session met a concurrent change.
var errContended = errors.New("the session changed at every attempt to change it")

// Update applies the changes with one conditional UpdateItem. If there are too many changes for an expression, it needs one more
// read: see replaceValues.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	for _, c := range u.Changes {
		if c.Op == session.OpAdd && (c.N < -session.MaxCounter || c.N > session.MaxCounter) {
			return session.Record{}, fmt.Errorf("add %d: %w", c.N, session.ErrCounter)
		}
	}
	change, condition := buildUpdate(u)
	if len(change.expression) > maxExpression || len(condition) > maxExpression {
		return s.replaceValues(ctx, id, u)
	}
	output, err := s.update(ctx, id, change, condition)
	if err != nil {
		return session.Record{}, replyError(err, id, u.Now, u.Changes)
	}
	return decodeOf(id, output.Attributes, u.Now)
}

// update sends an update. It retries only if DynamoDB has applied nothing.
func (s *Store) update(ctx context.Context, id session.ID, change updateExpression, condition string) (*dynamodb.UpdateItemOutput, error) {
	input := &dynamodb.UpdateItemInput{
		TableName: &s.options.Table, Key: key(id),
		UpdateExpression: &change.expression, ConditionExpression: &condition,
		ExpressionAttributeNames: change.names, ExpressionAttributeValues: change.values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	return retryNotApplied(ctx, func() (*dynamodb.UpdateItemOutput, error) { return s.api.UpdateItem(ctx, input, noRetry) })
}

// extend is the action that extends a session, by its own idle timeout if it has one. It has the names #ttl and #timeout, and
// the values of extendValues. The number :timeout may be negative.
const extend = "#ttl = :from + if_not_exists(#timeout, :timeout)"

// extendValues returns the values of live and extend. Both summands are rounded up, so that their sum is never too early.
func extendValues(u session.Update) item {
	from := ceil(u.Now.Add(u.TouchAfter))
	return item{":now": number(u.Now.Unix()), ":from": number(from), ":timeout": number(ceil(u.IdleExpires) - from)}
}

// buildUpdate returns the update expression and the condition of an update.
func buildUpdate(u session.Update) (_ updateExpression, condition string) {
	set := []string{extend}
	var remove []string
	conditions := []string{live}
	names := map[string]string{"#expires": attributeExpires, "#ttl": attributeTTL, "#timeout": attributeTimeout}
	values := extendValues(u)
	if len(u.Changes) > 0 {
		names["#values"] = attributeValues
	}
	for i, change := range u.Changes {
		n := strconv.Itoa(i)
		path := "#values.#k" + n
		names["#k"+n] = change.Key
		switch change.Op {
		case session.OpSet:
			set = append(set, path+" = :v"+n)
			values[":v"+n] = encodeValue(change.Value)
		case session.OpRemove:
			remove = append(remove, path)
			if change.Value != "" {
				conditions = append(conditions, path+" = :v"+n)
				values[":v"+n] = encodeValue(change.Value)
			}
		case session.OpAdd:
			// ADD works on top-level attributes only.
			set = append(set, path+" = if_not_exists("+path+", :zero) + :v"+n)
			conditions = append(conditions, "(attribute_not_exists("+path+") OR "+path+" BETWEEN :low"+n+" AND :high"+n+")")
			values[":v"+n], values[":zero"] = number(change.N), number(0)
			values[":low"+n] = number(max(-session.MaxCounter, -session.MaxCounter-change.N))
			values[":high"+n] = number(min(session.MaxCounter, session.MaxCounter-change.N))
		}
	}
	expression := "SET " + strings.Join(set, ", ")
	if len(remove) > 0 {
		expression += " REMOVE " + strings.Join(remove, ", ")
	}
	return updateExpression{expression, names, values}, strings.Join(conditions, " AND ")
}

// unchanged is the condition that the session is live and has the values that were read.
const unchanged = live + " AND #values = :values"

// replaceValues reads the session, applies the changes in this process, and stores all values under the condition that nobody has
// changed them meanwhile. Otherwise it starts again. Values that don't change keep their stored form.
func (s *Store) replaceValues(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	for range maxAttempts {
		it, err := s.get(ctx, id, true)
		if err != nil {
			return session.Record{}, err
		}
		record, err := decodeOf(id, it, u.Now)
		if err != nil {
			return session.Record{}, err
		}
		next, err := session.Apply(record.Values, u.Changes)
		if err != nil {
			return session.Record{}, err
		}
		values := extendValues(u)
		values[":values"], values[":next"] = it[attributeValues], applyTo(it[attributeValues], u.Changes, next)
		output, err := s.update(ctx, id, updateExpression{
			"SET " + extend + ", #values = :next",
			map[string]string{
				"#expires": attributeExpires, "#ttl": attributeTTL, "#timeout": attributeTimeout, "#values": attributeValues,
			},
			values,
		}, unchanged)
		var failed *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			return decodeOf(id, output.Attributes, u.Now)
		case !errors.As(err, &failed):
			return session.Record{}, tooLargeError(err)
		}
		// Another request has changed or ended the session. The next read shows which.
	}
	return session.Record{}, errContended
}

// applyTo returns the stored attribute values with the changed keys as they are in next.
func applyTo(values types.AttributeValue, changes []session.Change, next map[string]string) types.AttributeValue {
	stored := item{}
	maps.Copy(stored, values.(*types.AttributeValueMemberM).Value)
	for _, c := range changes {
		delete(stored, c.Key)
		if value, ok := next[c.Key]; ok {
			stored[c.Key] = encodeValue(value)
		}
	}
	return &types.AttributeValueMemberM{Value: stored}
}
