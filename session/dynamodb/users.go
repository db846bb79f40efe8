package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
)

// maxKeys is the maximum number of items that BatchGetItem reads, and so of sessions on a page.
const maxKeys = 100

// UserSessions reads a page of ids from the index, then these sessions from the table with consistent reads. The index is
// eventually consistent: a session that has just started may be missing, but an ended session is never on the list.
func (s *Store) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	start, err := startAfter(user, query.Cursor)
	if err != nil {
		return session.Page{}, err
	}
	output, err := s.api.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.options.Table, IndexName: aws.String(ownerIndex), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("#owner = :owner"),
		ExpressionAttributeNames:  map[string]string{"#owner": attributeOwner},
		ExpressionAttributeValues: item{":owner": text(owner(user))},
		Limit:                     aws.Int32(int32(min(query.Limit, maxKeys))), // #nosec G115 -- at most maxKeys
		ExclusiveStartKey:         start,
	})
	if err != nil {
		return session.Page{}, err
	}
	var ids []session.ID
	for _, entry := range output.Items {
		if id, ok := session.ParseID(attributeText(entry[attributeID])); ok {
			ids = append(ids, id)
		}
	}
	metas, err := s.loadMeta(ctx, ids)
	if err != nil {
		return session.Page{}, err
	}
	page := session.Page{Next: cursor(output.LastEvaluatedKey)}
	for _, id := range ids {
		record, err := decodeMeta(metas[id.String()], query.Now)
		switch {
		case err == nil && record.User == user:
			page.Sessions = append(page.Sessions, session.UserSession{ID: id, Record: record})
		case errors.Is(err, session.ErrEnded):
			if attributeText(metas[id.String()][attributeKept]) == keptForLogin {
				page.Renewed = append(page.Renewed, id)
			}
		case err != nil && !errors.Is(err, session.ErrNotFound):
			return session.Page{}, err
		}
	}
	return page, nil
}

// loadMeta reads the items of at most maxKeys ids without their values. It returns the items that exist, by id.
func (s *Store) loadMeta(ctx context.Context, ids []session.ID) (map[string]item, error) {
	found := make(map[string]item, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	wanted := types.KeysAndAttributes{ConsistentRead: aws.Bool(true), ExpressionAttributeNames: map[string]string{}}
	var projection []string
	for i, name := range []string{
		attributeID, attributeCreated, attributeExpires, attributeTTL, attributeUser, attributeAgent, attributeEnded, attributeKept,
		attributeTimeout,
	} {
		placeholder := "#a" + strconv.Itoa(i)
		wanted.ExpressionAttributeNames[placeholder] = name
		projection = append(projection, placeholder)
	}
	wanted.ProjectionExpression = aws.String(strings.Join(projection, ", "))
	for _, id := range ids {
		wanted.Keys = append(wanted.Keys, key(id))
	}
	left := map[string]types.KeysAndAttributes{s.options.Table: wanted}
	for attempt := range maxAttempts {
		output, err := s.api.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: left})
		if err != nil {
			return nil, err
		}
		for _, it := range output.Responses[s.options.Table] {
			found[attributeText(it[attributeID])] = it
		}
		if left = output.UnprocessedKeys; len(left) == 0 {
			return found, nil
		}
		if !pause(ctx, attempt) {
			return nil, fmt.Errorf("read sessions that DynamoDB has left for later: %w", ctx.Err())
		}
	}
	return nil, fmt.Errorf("read sessions: DynamoDB has left some for later %d times", maxAttempts)
}

// cursor returns the cursor of the page after an entry of the index, or "" if there is no entry.
func cursor(last item) string {
	if len(last) == 0 {
		return ""
	}
	return attributeText(last[attributePosition]) + " " + attributeText(last[attributeID])
}

// startAfter returns the index key of a cursor, or nil for the first page.
func startAfter(user, cursor string) (item, error) {
	if cursor == "" {
		return nil, nil
	}
	position, name, _ := strings.Cut(cursor, " ")
	id, ok := session.ParseID(name)
	created, err := strconv.ParseInt(position, 10, 64)
	if !ok || err != nil || strconv.FormatInt(created, 10) != position {
		return nil, fmt.Errorf("cursor %q of a list: %w", cursor, session.ErrInvalid)
	}
	it := key(id)
	it[attributeOwner], it[attributePosition] = text(owner(user)), number(created)
	return it, nil
}
