#!/usr/bin/env python3
"""count-tests.py REPORT.xml: prints "passed failed skipped" of an xunit report."""
import sys
import xml.etree.ElementTree as tree

passed = failed = skipped = 0
for case in tree.parse(sys.argv[1]).getroot().iter("testcase"):
    kinds = {child.tag for child in case}
    if "skipped" in kinds:
        skipped += 1
    elif kinds & {"failure", "error"}:
        failed += 1
    else:
        passed += 1
print(passed, failed, skipped)
