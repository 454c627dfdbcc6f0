// pki makes what a kube-apiserver on loopback needs: an authority, its serving certificate, a key for service account
// tokens, and kubeconfigs with client certificates for an administrator and the controller manager.
//
//	pki DIR SERVER
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pair is a certificate and its key, in PEM.
type pair struct{ certificate, key []byte }

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "pki DIR SERVER")
		os.Exit(2)
	}
	dir, server := os.Args[1], os.Args[2]
	check(os.MkdirAll(dir, 0o700))
	ca := newAuthority()
	serving := ca.issue("kube-apiserver", "", x509.ExtKeyUsageServerAuth)
	write := func(name string, data []byte) { check(os.WriteFile(filepath.Join(dir, name), data, 0o600)) }
	write("ca.crt", ca.pem)
	write("apiserver.crt", serving.certificate)
	write("apiserver.key", serving.key)
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	public, err := x509.MarshalPKIXPublicKey(tokens.Public())
	check(err)
	write("sa.key", encodeKey(tokens))
	write("sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	write("admin.kubeconfig", kubeconfig(server, ca.pem, ca.issue("admin", "system:masters", x509.ExtKeyUsageClientAuth)))
	write("controller-manager.kubeconfig", kubeconfig(server, ca.pem, ca.issue("system:kube-controller-manager", "", x509.ExtKeyUsageClientAuth)))
}

func newAuthority() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "benches"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	return &authority{template, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(name, group string, usage x509.ExtKeyUsage) pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	subject := pkix.Name{CommonName: name}
	if group != "" {
		subject.Organization = []string{group}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	if usage == x509.ExtKeyUsageServerAuth {
		template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	check(err)
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), encodeKey(key)}
}

func encodeKey(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalECPrivateKey(key)
	check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func kubeconfig(server string, ca []byte, client pair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: default
clusters:
- name: default
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: default
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: default
  context:
    cluster: default
    user: default
`, server, encode(ca), encode(client.certificate), encode(client.key))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}
