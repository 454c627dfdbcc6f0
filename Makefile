# make codegen         write the table of built-in types anew from the pinned published sources
# make codegen-check   fail if the committed table is not what the generator writes
.PHONY: codegen codegen-check

codegen:
	python3 src/schema/codegen/generate.py

codegen-check:
	python3 src/schema/codegen/generate.py --check
