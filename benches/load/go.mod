module alcove.dev/benches/load

go 1.26.0
