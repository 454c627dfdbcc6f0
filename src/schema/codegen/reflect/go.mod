// The requirements stand in go.1.N.mod, one per Kubernetes minor: go run -modfile=go.1.36.mod .
module alcove.dev/codegen/reflect

go 1.26
