package storeserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files of a certificate in the directory of a server with TLS.
const (
	caFile          = "ca.pem"
	certificateFile = "certificate.pem"
	keyFile         = "key.pem"
)

// RootCAs returns the certificate authority of a server that ValkeyTLS or MemcachedTLS has started.
func (s *Server) RootCAs() (*x509.CertPool, error) {
	authority, err := os.ReadFile(filepath.Join(s.dir, caFile))
	if err != nil {
		return nil, fmt.Errorf("certificate authority of %s: %w", s.Name, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("certificate authority of %s: there is none in %s", s.Name, caFile)
	}
	return pool, nil
}

// A certificate is a certificate for 127.0.0.1 and localhost with its own authority, in PEM. It is valid for a day.
type certificate struct{ authority, server, key []byte }

func newCertificate() (certificate, error) {
	var none certificate
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "store"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return none, err
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return none, err
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, authority, &serverKey.PublicKey, authorityKey)
	if err != nil {
		return none, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return none, err
	}
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return certificate{text("CERTIFICATE", authorityDER), text("CERTIFICATE", serverDER), text("PRIVATE KEY", keyDER)}, nil
}

// write writes the certificate's files into dir.
func (c certificate) write(dir string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(dir, caFile), c.authority, 0o644),
		os.WriteFile(filepath.Join(dir, certificateFile), c.server, 0o644),
		os.WriteFile(filepath.Join(dir, keyFile), c.key, 0o600))
}

// roots returns a pool with the certificate's authority.
func (c certificate) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.authority)
	return pool
}
