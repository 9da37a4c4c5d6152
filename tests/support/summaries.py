"""The document's deployment summary (R41), as tests expect it."""

import re

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SUMMARY = """\
================================================
✅ Production Deployment Complete!
================================================
Release ID: {release_id}
Build ID: {build_id}
Deployed At: {deployed_at}

📋 Deployed Circuits:
   - PLANT001 / CIRCUIT01 → plant001-circuit01
   - PLANT001 / CIRCUIT02 → plant001-circuit02
   - PLANT002 / CIRCUIT01 → plant002-circuit01

🔗 Workspace: mlw-prod
================================================"""
