package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// access is what a kubeconfig says.
type access struct {
	server string
	tls    *tls.Config
	token  string
}

// readKubeconfig reads a kubeconfig of one cluster and one user, in YAML or JSON. It looks for the few keys that
// matter instead of parsing YAML, which the standard library cannot; with two of a key it does not guess.
func readKubeconfig(path string) (*access, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	value := func(key string) (string, error) {
		found := regexp.MustCompile(`(?m)(?:^|[\s{,"-])`+key+`"?:\s*["']?([^\s"',}]+)`).FindAllSubmatch(text, -1)
		switch len(found) {
		case 0:
			return "", nil
		case 1:
			return string(found[0][1]), nil
		default:
			return "", fmt.Errorf("%s has more than one %s", path, key)
		}
	}
	// The bytes of a key that is there as data or as the name of a file.
	material := func(key string) ([]byte, error) {
		data, err := value(key + "-data")
		if err != nil || data != "" {
			decoded, wrong := base64.StdEncoding.DecodeString(data)
			return decoded, errors.Join(err, wrong)
		}
		file, err := value(key)
		if err != nil || file == "" {
			return nil, err
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		return os.ReadFile(file)
	}
	server, err1 := value("server")
	token, err2 := value("token")
	authority, err3 := material("certificate-authority")
	certificate, err4 := material("client-certificate")
	key, err5 := material("client-key")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	if server == "" {
		return nil, fmt.Errorf("%s names no server", path)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s has no certificate authority", path)
	}
	if certificate != nil {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &access{server: strings.TrimRight(server, "/"), tls: config, token: token}, nil
}

// client spreads its callers over some connections.
type client struct {
	access *access
	conns  []*http.Client
}

func newClient(a *access, conns int) *client {
	c := &client{access: a}
	for range conns {
		c.conns = append(c.conns, &http.Client{Transport: &http.Transport{
			TLSClientConfig: a.tls, ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConnsPerHost: 1000,
		}})
	}
	return c
}

// do sends a request for a worker and reads the whole answer. Headers come in pairs.
func (c *client) do(worker int, method, path string, body []byte, headers ...string) (int, []byte, error) {
	response, err := c.open(context.Background(), worker, method, path, body, headers...)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// open sends a request and leaves the body of the answer to the caller.
func (c *client) open(ctx context.Context, worker int, method, path string, body []byte, headers ...string) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.access.server+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.access.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.access.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return c.conns[worker%len(c.conns)].Do(request)
}
