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

// maxExpression is the most bytes that an expression gets, under DynamoDB's limit of 4,096 (Amazon DynamoDB Developer
// Guide, "Quotas"). An expression of that length has fewer operators than the 300 that are allowed: each takes at least
// 16 bytes here.
const maxExpression = 4000

// errContended is the failure of a change that met another one at every attempt.
var errContended = errors.New("the session changed at every attempt to change it")

// Update applies the changes in one conditional UpdateItem. Changes that are too many for an expression take a read more:
// see swap.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	for _, c := range u.Changes {
		if c.Op == session.OpAdd && (c.N < -session.MaxCounter || c.N > session.MaxCounter) {
			return session.Record{}, fmt.Errorf("add %d: %w", c.N, session.ErrCounter)
		}
	}
	change, condition := express(u)
	if len(change.expression) > maxExpression || len(condition) > maxExpression {
		return s.swap(ctx, id, u)
	}
	output, err := s.update(ctx, id, change, condition)
	if err != nil {
		return session.Record{}, answer(err, id, u.Now)
	}
	return decodeOf(id, output.Attributes, u.Now)
}

// update sends a change once, but for what repeat repeats.
func (s *Store) update(ctx context.Context, id session.ID, change change, condition string) (*dynamodb.UpdateItemOutput, error) {
	input := &dynamodb.UpdateItemInput{
		TableName: &s.options.Table, Key: key(id),
		UpdateExpression: &change.expression, ConditionExpression: &condition,
		ExpressionAttributeNames: change.names, ExpressionAttributeValues: change.values,
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	return repeat(ctx, func() (*dynamodb.UpdateItemOutput, error) { return s.api.UpdateItem(ctx, input, once) })
}

// express returns an update as DynamoDB's expressions.
func express(u session.Update) (_ change, condition string) {
	set := []string{"#ttl = :idle"}
	var remove []string
	conditions := []string{live}
	names := map[string]string{"#expires": attributeExpires, "#ttl": attributeTTL}
	values := item{":now": number(u.Now.Unix()), ":idle": seconds(u.IdleExpires)}
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
	return change{expression, names, values}, strings.Join(conditions, " AND ")
}

// unchanged is a condition. It holds for a live session that has the values that were read.
const unchanged = live + " AND #values = :values"

// swap reads the session, applies the changes here, and stores all values on the condition that nobody has changed them
// meanwhile, else it begins anew. Values that don't change stay as they are stored.
func (s *Store) swap(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
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
		output, err := s.update(ctx, id, change{
			"SET #ttl = :idle, #values = :next",
			map[string]string{"#expires": attributeExpires, "#ttl": attributeTTL, "#values": attributeValues},
			item{
				":now": number(u.Now.Unix()), ":idle": seconds(u.IdleExpires),
				":values": it[attributeValues], ":next": changed(it[attributeValues], u.Changes, next),
			},
		}, unchanged)
		var failed *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			return decodeOf(id, output.Attributes, u.Now)
		case !errors.As(err, &failed):
			return session.Record{}, refused(err)
		}
		// Somebody else has changed it, or it has ended: the next read tells.
	}
	return session.Record{}, errContended
}

// changed returns the attribute of values with the changed keys as they are in next.
func changed(values types.AttributeValue, changes []session.Change, next map[string]string) types.AttributeValue {
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
