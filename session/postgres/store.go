// Package postgres keeps sessions in a table of PostgreSQL 14 or newer: a row a session, one statement an operation.
// An update locks its row, applies the changes to what it finds, and returns the new state, all in one round trip. A
// renewal locks the old row, adds the new one, and leaves a note of the end in the old, as one step too.
//
// Amazon RDS for PostgreSQL and Aurora PostgreSQL are such servers, with IAM authentication through Options.Password. It
// is the store for those who run a database anyway: durable, consistent, and dearer per write than a cache.
//
// Nothing deletes expired rows by itself in PostgreSQL: the servers call Maintain, and one of them at a time sweeps.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"stateless-servers/session"
)

// maxBytes is the limit of DynamoDB, the smallest of the shared stores: what fits here fits there. PostgreSQL would take
// far more, but writes the whole row anew with every update.
const maxBytes = 400_000

// connectTimeout bounds a dial, and the check of a connection that was idle, where Options.URL doesn't. Both go on when
// their request has given up, and hold a place in the pool.
const connectTimeout = 2 * time.Second

// Options configure a Store.
type Options struct {
	// URL is a connection string of libpq, as a URL or as key=value pairs. TLS is part of it
	// (sslmode=verify-full&sslrootcert=/path/global-bundle.pem), and so is the pool's size (pool_max_conns, default the
	// greater of 4 and the number of processors). A schema other than the default is chosen by search_path. Behind
	// PgBouncer or RDS Proxy, default_query_exec_mode=exec avoids prepared statements. Servers that don't take writes,
	// such as the old primary after a failover, are not connected to, unless target_session_attrs says so.
	URL string
	// Password, when not nil, returns the password of each new connection. For IAM authentication it is a token made by
	// BuildAuthToken of the AWS SDK's feature/rds/auth, which is valid for 15 minutes; connections made with it stay.
	Password func(ctx context.Context) (string, error)
}

// Store keeps sessions in the table that CreateTable makes. Create one with New.
type Store struct{ pool *pgxpool.Pool }

var _ session.UserStore = (*Store)(nil)

// New returns a Store that connects when it is first used, so that a server may start before its database does. The
// error is that of a malformed URL. Close it after use.
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
	config.ConnConfig.DialFunc = bounded(config.ConnConfig.DialFunc)
	config.ConnConfig.MaxProtocolMessageBodyLen = maxAnswer
	config.AfterConnect = establish
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
	return &Store{pool}, nil
}

// Close closes the store's connections, and waits for operations under way.
func (s *Store) Close() { s.pool.Close() }

// Pool returns the store's connections, for CreateTable and for what an application keeps beside its sessions. An answer of more
// than 4 MB fails.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Promises declares that every promise is kept. After a failover they hold as far as the database keeps what it
// committed: RDS Multi-AZ and Aurora do.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "postgres", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, AtomicRenewal: true,
		ListsByUser: true, Mutable: true, MaxBytes: maxBytes,
	}
}

// Ping asks for the table, so that a server isn't ready before that is there.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, "SELECT FROM sessions LIMIT 0")
	return err
}

// Create stores a new session.
func (s *Store) Create(ctx context.Context, id session.ID, r session.Record) error {
	keys, values := make([]string, 0, len(r.Values)), make([]string, 0, len(r.Values))
	for key, value := range r.Values {
		keys, values = append(keys, escape(key)), append(values, value)
	}
	tag, err := s.pool.Exec(ctx, create, id[:], r.Created, ceil(r.Expires), ceil(r.IdleExpires),
		[]byte(r.User), []byte(r.UserAgent), keys, values)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("session %s exists", id)
	}
	return refused(err)
}

// Load reads a session.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return scan(s.pool.QueryRow(ctx, load, id[:], now))
}

// Update applies the changes in one statement. It is never sent twice.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	setKeys, setValues, removed := []string{}, []string{}, []string{}
	addKeys, added := []string{}, []int64{}
	for _, change := range u.Changes {
		key := escape(change.Key)
		switch change.Op {
		case session.OpSet:
			setKeys, setValues = append(setKeys, key), append(setValues, change.Value)
		case session.OpRemove:
			removed = append(removed, key)
		case session.OpAdd:
			addKeys, added = append(addKeys, key), append(added, change.N)
		}
	}
	return scan(s.pool.QueryRow(ctx, update, id[:], u.Now, ceil(u.IdleExpires), maxBytes,
		setKeys, setValues, removed, addKeys, added, session.MaxCounter))
}

// scan reads a row of columns, or says why there is no live session.
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
		return session.Record{}, refused(err)
	}
	answer, known := outcomes[outcome]
	switch {
	case !known:
		return session.Record{}, fmt.Errorf("a statement answered %q", outcome)
	case answer != nil:
		return session.Record{}, answer
	}
	r.User, r.UserAgent = string(user), string(agent)
	r.Values = make(map[string]string, len(contents))
	for key, value := range contents {
		r.Values[unescape(key)] = value
	}
	return r, nil
}

// refused turns the error of a value that PostgreSQL doesn't take into ErrInvalid: the store has not failed, and trying
// again wouldn't help. What handlers set is UTF-8, but sessions that come from another store may hold values of earlier
// versions, which let other bytes pass.
func refused(err error) error {
	const dataException = "22" // the class of codes
	var failed *pgconn.PgError
	if errors.As(err, &failed) && strings.HasPrefix(failed.Code, dataException) {
		return fmt.Errorf("%w: %w", session.ErrInvalid, err)
	}
	return err
}

// PostgreSQL's text has no NUL, so that keys spell it \x01 0, and \x01 itself \x01 1. Values never hold a NUL: JSON
// writes it as an escape sequence, which is text like any other here.
var (
	escaper   = strings.NewReplacer("\x00", "\x010", "\x01", "\x011")
	unescaper = strings.NewReplacer("\x010", "\x00", "\x011", "\x01")
)

func escape(key string) string { return escaper.Replace(key) }

func unescape(key string) string { return unescaper.Replace(key) }

// ceil rounds up to PostgreSQL's microseconds, so that a session never ends early.
func ceil(t time.Time) time.Time { return t.Add(time.Microsecond - 1).Truncate(time.Microsecond) }
