# Short names for course.py, which does the work: make lab, make test, make reset LESSON=05, make store LESSON="04 05"
PYTHON ?= python3
LESSON ?=

.PHONY: lab setup test progress reset store bench help
help: ; @$(PYTHON) course.py help
lab: ; @$(PYTHON) course.py lab $(LESSON)
setup: ; @$(PYTHON) course.py setup
test: ; @$(PYTHON) course.py test $(LESSON)
progress: ; @$(PYTHON) course.py progress
reset: ; @$(PYTHON) course.py reset $(LESSON)
store: ; @$(PYTHON) course.py store $(LESSON)
bench: ; @$(PYTHON) course.py bench
