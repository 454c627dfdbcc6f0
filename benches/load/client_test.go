package main

import (
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadKubeconfig(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	defer server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	data := base64.StdEncoding.EncodeToString(authority)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), authority, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, text, server, token, failure string }{
		{"block", "clusters:\n- cluster:\n    certificate-authority-data: " + data + "\n    server: https://a:1/x/\n  name: server\n", "https://a:1/x", "", ""},
		{"flow", `clusters: [{name: c, cluster: {server: "https://a:1", certificate-authority-data: ` + data + `}}]` + "\nusers: [{name: u, user: {token: t0}}]", "https://a:1", "t0", ""},
		{"json", `{"clusters":[{"cluster":{"certificate-authority-data":"` + data + `","server":"https://a:1"}}],"users":[{"user":{"token":"t0"}}]}`, "https://a:1", "t0", ""},
		{"file", "    certificate-authority: ca.crt\n    server: https://a:1\n", "https://a:1", "", ""},
		{"two clusters", "    server: https://a:1\n    server: https://b:1\n", "", "", "more than one server"},
		{"no server", "    certificate-authority: ca.crt\n", "", "", "names no server"},
		{"no authority", "    server: https://a:1\n", "", "", "no certificate authority"},
		{"bad data", "    certificate-authority-data: '!'\n    server: https://a:1\n", "", "", "illegal base64"},
	}
	for _, test := range cases {
		path := filepath.Join(dir, "config")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := readKubeconfig(path)
		switch {
		case test.failure != "":
			if err == nil || !strings.Contains(err.Error(), test.failure) {
				t.Errorf("%s: %v, expected %q", test.name, err, test.failure)
			}
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		case found.server != test.server || found.token != test.token:
			t.Errorf("%s: %+v", test.name, found)
		}
	}
}
