"""What people see: boards, report.json, report.html."""
