BEGIN TRANSACTION;
CREATE TABLE attempt(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, test_id INTEGER NOT NULL REFERENCES test,
  number INTEGER NOT NULL, outcome INTEGER NOT NULL, bench_id INTEGER NOT NULL REFERENCES bench,
  verdict TEXT NOT NULL, setup_s REAL NOT NULL, call_s REAL NOT NULL, teardown_s REAL NOT NULL,
  mean_watts REAL, message TEXT NOT NULL, PRIMARY KEY(run_id, test_id, number)) WITHOUT ROWID;
INSERT INTO "attempt" VALUES(1,1,1,2,1,'',0.0,0.0,0.0,NULL,'could not be collected: ModuleNotFoundError: No module named ''nothing_like_it''');
INSERT INTO "attempt" VALUES(1,2,1,0,2,'',1.03111499993246980011e-03,4.76019899997481843456e-03,2.84202199998162541305e-03,0.0,'');
INSERT INTO "attempt" VALUES(1,3,1,1,2,'',4.61552000047049659769e-04,9.42256000030283757951e-04,4.68447000002925051376e-04,0.0,'AssertionError: assert (False or 0)');
INSERT INTO "attempt" VALUES(1,3,2,0,2,'',3.0463699999927484896e-04,6.27967000013995857443e-04,3.55524000042350962758e-04,0.0,'');
INSERT INTO "attempt" VALUES(1,4,1,1,2,'',3.68261999938113149255e-04,1.39212399994903535116e-03,1.26229199997851537773e-03,0.0,'AssertionError: seven volts');
INSERT INTO "attempt" VALUES(1,5,1,0,3,'',0.00423633200000495,2.17557299993131891824e-03,6.4850599994770163903e-04,0.0,'');
INSERT INTO "attempt" VALUES(1,6,1,0,3,'',3.0435700000452925451e-04,9.25257000062629231251e-04,4.00344000013319600839e-04,0.0,'');
INSERT INTO "attempt" VALUES(1,7,1,1,3,'',2.33224999988124181982e-04,1.14166900004875060403e-03,1.23115599990342161618e-03,0.0,'AssertionError: seven volts');
INSERT INTO "attempt" VALUES(1,8,1,3,4,'',1.02427000001625856384e-04,9.85579999905894510447e-05,7.75329999669338576495e-05,NULL,'Skipped: not today');
INSERT INTO "attempt" VALUES(1,9,1,2,4,'',8.06400000783469295129e-05,0.0,7.71429999986139591783e-05,NULL,'UsageError: no board has the tag rare: known are none');
INSERT INTO "attempt" VALUES(1,10,1,4,4,'',2.65952999939145229291e-04,1.15210999979353800881e-04,9.29429999132480588741e-05,NULL,'assert False');
INSERT INTO "attempt" VALUES(1,11,1,0,2,'',7.42281000043476524297e-04,6.24089800010096951154e-03,5.42581999980029650032e-04,0.0,'');
CREATE TABLE bench(
  id INTEGER PRIMARY KEY, board TEXT NOT NULL, firmware TEXT NOT NULL, place TEXT NOT NULL,
  simulated INTEGER NOT NULL, image TEXT NOT NULL, UNIQUE(board, firmware, place, simulated, image));
INSERT INTO "bench" VALUES(1,'','','',1,'');
INSERT INTO "bench" VALUES(2,'eba90b6d','0.09','sim-1',1,'v2.img (100000 bytes, 73d2b10b88ae)');
INSERT INTO "bench" VALUES(3,'9bd73246','0.09','sim-2',1,'v2.img (100000 bytes, 73d2b10b88ae)');
INSERT INTO "bench" VALUES(4,'','','',0,'');
CREATE TABLE measure(
  id INTEGER PRIMARY KEY, test_id INTEGER NOT NULL REFERENCES test, name TEXT NOT NULL, unit TEXT NOT NULL,
  UNIQUE(test_id, name, unit));
INSERT INTO "measure" VALUES(1,2,'boot','s');
INSERT INTO "measure" VALUES(2,5,'boot','s');
CREATE TABLE number(
  measure_id INTEGER NOT NULL REFERENCES measure, run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
  attempt INTEGER NOT NULL, position INTEGER NOT NULL, bench_id INTEGER NOT NULL,
  value REAL NOT NULL, below REAL, above REAL,
  PRIMARY KEY(measure_id, run_id, attempt, position)) WITHOUT ROWID;
INSERT INTO "number" VALUES(1,1,1,0,2,12.5,20.0,NULL);
INSERT INTO "number" VALUES(2,1,1,0,3,12.5,20.0,NULL);
CREATE TABLE partner(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, test_id INTEGER NOT NULL,
  number INTEGER NOT NULL, bench_id INTEGER NOT NULL REFERENCES bench,
  PRIMARY KEY(run_id, test_id, number, bench_id)) WITHOUT ROWID;
INSERT INTO "partner" VALUES(1,11,1,3);
CREATE TABLE run(
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, began_s REAL NOT NULL, host TEXT NOT NULL,
  kind TEXT NOT NULL, commit_id TEXT NOT NULL, image TEXT NOT NULL, boards INTEGER NOT NULL,
  ended_s REAL, exit_status INTEGER);
INSERT INTO "run" VALUES(1,'7da0cbb8d0014e9ca5f1b48a25f5312e',1.79611894319136929511e+09,'vm','nightly','c0ffee','',0,1.79611899711330485346e+09,1);
CREATE TABLE tally(
  run_id INTEGER NOT NULL REFERENCES run ON DELETE CASCADE, bench_id INTEGER NOT NULL REFERENCES bench,
  ran INTEGER NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY(run_id, bench_id)) WITHOUT ROWID;
INSERT INTO "tally" VALUES(1,1,1,1);
INSERT INTO "tally" VALUES(1,2,4,2);
INSERT INTO "tally" VALUES(1,3,3,1);
INSERT INTO "tally" VALUES(1,4,2,1);
CREATE TABLE test(
  id INTEGER PRIMARY KEY, nodeid TEXT NOT NULL UNIQUE, column_name TEXT NOT NULL DEFAULT '');
INSERT INTO "test" VALUES(1,'test_broken.py','');
INSERT INTO "test" VALUES(2,'test_boots.py::test_boots[sim-1]','sim-1');
INSERT INTO "test" VALUES(3,'test_boots.py::test_second_time[sim-1]','sim-1');
INSERT INTO "test" VALUES(4,'test_boots.py::test_fails[sim-1]','sim-1');
INSERT INTO "test" VALUES(5,'test_boots.py::test_boots[sim-2]','sim-2');
INSERT INTO "test" VALUES(6,'test_boots.py::test_second_time[sim-2]','sim-2');
INSERT INTO "test" VALUES(7,'test_boots.py::test_fails[sim-2]','sim-2');
INSERT INTO "test" VALUES(8,'test_boots.py::test_skips','');
INSERT INTO "test" VALUES(9,'test_boots.py::test_no_board','');
INSERT INTO "test" VALUES(10,'test_boots.py::test_expected','');
INSERT INTO "test" VALUES(11,'test_link.py::test_link','');
CREATE INDEX run_by_time ON run(began_s);
CREATE INDEX attempt_by_test ON attempt(test_id, run_id, number, outcome, bench_id, call_s);
CREATE INDEX attempt_by_outcome ON attempt(run_id, outcome, bench_id, test_id);
CREATE TRIGGER tally_attempt AFTER INSERT ON attempt
  WHEN NEW.number=1 AND NEW.outcome != 3 BEGIN
  INSERT INTO tally VALUES(NEW.run_id, NEW.bench_id, 1, NEW.outcome IN (1,2))
  ON CONFLICT(run_id, bench_id) DO UPDATE SET ran=ran+1, failed=failed+excluded.failed; END;
CREATE INDEX number_by_run ON number(run_id);
COMMIT;
PRAGMA user_version = 5;
