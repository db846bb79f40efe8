// Package postgres keeps sessions in a table of PostgreSQL 14 or newer: one row per session, one statement per operation. Start
// reading at Store, which New creates.
//
// An update locks its row, applies the changes to the current state, and returns the new state, in one round trip. A renewal
// locks the old row, inserts the new one, and turns the old row into a tombstone, in one statement.
//
// Amazon RDS for PostgreSQL and Aurora PostgreSQL offer such servers, with IAM authentication through Options.Password. The store
// suits applications that have a database anyway: it is durable and consistent, but a write costs more than in a cache.
//
// PostgreSQL does not delete expired rows by itself. Every web server runs Store.Maintain, which deletes them in one server at a
// time.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"stateless-servers/session"
)

// maxBytes is the limit of DynamoDB, the smallest of all shared stores, so that every session that fits here fits there.
// PostgreSQL allows far more, but every update writes the whole row.
const maxBytes = 400_000

// connectTimeout limits a dial, and the check of an idle connection, unless Options.URL sets a timeout. Both continue after their
// request has ended, and occupy a place in the pool.
const connectTimeout = 2 * time.Second

// Options configure a Store.
type Options struct {
	// URL is a libpq connection string, as a URL or as key=value pairs. It includes TLS
	// (sslmode=verify-full&sslrootcert=/path/global-bundle.pem) and the size of the pool (pool_max_conns; default the greater of 4
	// and the number of processors). search_path selects another schema. Behind PgBouncer or RDS Proxy,
	// default_query_exec_mode=exec avoids prepared statements. The store doesn't connect to read-only servers, such as the former
	// primary after a failover, unless target_session_attrs allows it.
	URL string
	// Password, if not nil, returns the password for each new connection. For IAM authentication it returns a token of
	// BuildAuthToken in the AWS SDK's feature/rds/auth. A token is valid for 15 minutes; connections stay open after that.
	Password func(ctx context.Context) (string, error)
}

// Store keeps sessions in the table that CreateTable creates. Create one with New or NewFromPool.
type Store struct {
	pool   *pgxpool.Pool
	shared bool // with the caller, who closes the pool
}

var _ session.UserStore = (*Store)(nil)

// New returns a Store that connects on first use, so that a web server can start before its database. It returns an error if the
// URL is malformed. Close the Store after use.
func New(o Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("session store postgres: %w", err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if config.PingTimeout == 0 {
		config.PingTimeout = connectTimeout
	}
	config.ConnConfig.DialFunc = boundedDial(config.ConnConfig.DialFunc)
	config.ConnConfig.MaxProtocolMessageBodyLen = maxReplyBytes
	config.AfterConnect = markEstablished
	if config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if o.Password != nil {
		config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) (err error) {
			if c.Password, err = o.Password(ctx); err != nil {
				return fmt.Errorf("password for PostgreSQL: %w", err)
			}
			return nil
		}
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("session store postgres: %w", err)
	}
	return &Store{pool: pool}, nil
}

// NewFromPool returns a Store that uses the caller's pool, which the caller closes. It returns an error if the pool accepts
// servers that are read-only, such as a former primary after a failover, whose sessions are stale: add
// target_session_attrs=read-write to the pool's connection string.
//
// The pool's connect_timeout should be a few seconds, and its size leave room for the requests of the sessions. The Store
// limits neither the replies of the server nor their size, as it does with New. Transactions must be READ COMMITTED by default
// (default_transaction_isolation), which is PostgreSQL's default; at stricter levels, concurrent changes of a session fail.
func NewFromPool(pool *pgxpool.Pool) (*Store, error) {
	if pool.Config().ConnConfig.ValidateConnect == nil {
		return nil, errors.New("session store postgres: the pool accepts read-only servers: " +
			"set target_session_attrs=read-write in its connection string")
	}
	return &Store{pool: pool, shared: true}, nil
}

// Close waits for running operations and closes the store's connections. It does nothing after NewFromPool.
func (s *Store) Close() {
	if !s.shared {
		s.pool.Close()
	}
}

// Pool returns the store's connection pool, for CreateTable and for other data of the application. A query fails if the server
// sends more than 4 MB in reply, unless the pool is the caller's.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Promises declares every promise, without the limit OneRegion, provided that the database keeps committed transactions in a failover, as RDS
// Multi-AZ and Aurora do.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "postgres", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, AtomicRenewal: true,
		ListsByUser: true, Mutable: true, MaxBytes: maxBytes,
	}
}

// Ping returns nil if the database replies and the table exists.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, "SELECT FROM sessions LIMIT 0")
	return err
}

// Create stores a new session.
func (s *Store) Create(ctx context.Context, id session.ID, r session.Record) error {
	keys, values := make([]string, 0, len(r.Values)+1), make([]string, 0, len(r.Values)+1)
	for key, value := range r.Values {
		keys, values = append(keys, escape(key)), append(values, value)
	}
	if r.IdleTimeout > 0 {
		keys, values = append(keys, keyTimeout), append(values, strconv.FormatInt(r.IdleTimeout.Microseconds(), 10))
	}
	tag, err := s.pool.Exec(ctx, create, id[:], r.Created, ceil(r.Expires), ceil(r.IdleExpires),
		[]byte(r.User), []byte(r.UserAgent), keys, values)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("session %s exists", id)
	}
	return invalidError(err)
}

// Load returns a live session.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return scan(s.pool.QueryRow(ctx, load, id[:], now))
}

// Update applies the changes with one statement. The statement is never retried.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	setKeys, setValues, removed, conditions := []string{}, []string{}, []string{}, []string{}
	addKeys, added := []string{}, []int64{}
	for _, change := range u.Changes {
		key := escape(change.Key)
		switch change.Op {
		case session.OpSet:
			setKeys, setValues = append(setKeys, key), append(setValues, change.Value)
		case session.OpRemove:
			removed, conditions = append(removed, key), append(conditions, change.Value)
		case session.OpAdd:
			addKeys, added = append(addKeys, key), append(added, change.N)
		}
	}
	return scan(s.pool.QueryRow(ctx, update, id[:], u.Now, ceil(u.IdleExpires), maxBytes,
		setKeys, setValues, removed, addKeys, added, session.MaxCounter, conditions, ceil(u.Now.Add(u.TouchAfter))))
}

// scan reads the columns of one row. It returns an error if there is no live session.
func scan(row pgx.Row) (session.Record, error) {
	var outcome string
	var user, agent []byte
	var contents map[string]string
	var r session.Record
	err := row.Scan(&outcome, &r.Created, &r.Expires, &r.IdleExpires, &user, &agent, &contents)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return session.Record{}, session.ErrNotFound
	case err != nil:
		return session.Record{}, invalidError(err)
	}
	reply, known := outcomes[outcome]
	switch {
	case !known:
		return session.Record{}, fmt.Errorf("a statement returned the outcome %q", outcome)
	case reply != nil:
		return session.Record{}, reply
	}
	r.User, r.UserAgent = string(user), string(agent)
	if text, ok := contents[keyTimeout]; ok {
		micros, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return session.Record{}, fmt.Errorf("decode a session's idle timeout: %w", err)
		}
		r.IdleTimeout = time.Duration(micros) * time.Microsecond
		delete(contents, keyTimeout)
	}
	r.Values = make(map[string]string, len(contents))
	for key, value := range contents {
		r.Values[unescape(key)] = value
	}
	return r, nil
}

// keyTimeout is the key, in the column contents, of the session's own idle timeout in microseconds. It is not in a column of its
// own, because servers of the version before create the table without it. They take it for a value.
const keyTimeout = "@timeout"

// invalidError turns the error of a value that PostgreSQL rejects into ErrInvalid, because the store has not failed and a retry
// would not help. Handlers set only UTF-8, but sessions that come from another store may have values that an earlier version of
// package session accepted.
func invalidError(err error) error {
	const dataException = "22" // the class of codes
	var failed *pgconn.PgError
	if errors.As(err, &failed) && strings.HasPrefix(failed.Code, dataException) {
		return fmt.Errorf("%w: %w", session.ErrInvalid, err)
	}
	return err
}

// PostgreSQL's text can't contain NUL, so in keys \x00 is escaped as \x01 0, and \x01 as \x01 1. Values never contain NUL: in
// JSON it is an escape sequence.
var (
	escaper   = strings.NewReplacer("\x00", "\x010", "\x01", "\x011")
	unescaper = strings.NewReplacer("\x010", "\x00", "\x011", "\x01")
)

func escape(key string) string { return escaper.Replace(key) }

func unescape(key string) string { return unescaper.Replace(key) }

// ceil rounds up to a microsecond, the precision of PostgreSQL, so that a session never ends early.
func ceil(t time.Time) time.Time { return t.Add(time.Microsecond - 1).Truncate(time.Microsecond) }
