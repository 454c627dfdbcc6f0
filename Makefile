# make codegen         write the table of built-in types anew from the pinned published sources
# make codegen-check   fail if the committed table is not what the generator writes
# make bench           build a release and measure it, beside kube-apiserver and etcd where they are found
# make bench-peers     build those into .cache/bench (minutes the first time)
# make bench-store     measure the store alone
.PHONY: bench bench-peers bench-store codegen codegen-check

codegen:
	python3 src/schema/codegen/generate.py

codegen-check:
	python3 src/schema/codegen/generate.py --check

bench:
	cargo build --release
	benches/run.py $(BENCH_ARGS)

bench-peers:
	benches/peers/build.sh .cache/bench

bench-store:
	cargo bench -p alcove-store --profile quick --bench commits
