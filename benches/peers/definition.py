"""The events of the generated archive, what they weigh, and the activation steps: named here once, for every engine and for
vitalsync's config. The README says what is computed from them."""

EVENTS = [
    "Page Viewed", "Report Viewed", "Dashboard Opened", "Record Created", "Search Performed",
    "Record Updated", "Signed In", "Filter Applied", "Comment Added", "File Uploaded",
    "Report Exported", "Task Completed", "Notification Clicked", "Workflow Run", "Record Deleted",
    "Invite Sent", "Integration Connected", "Dashboard Created", "Segment Created", "API Key Created",
    "Settings Updated", "Alert Created", "Report Scheduled", "Template Used", "Bulk Import Completed",
    "Automation Enabled", "Webhook Created", "Help Article Viewed", "Support Chat Started", "Plan Viewed",
    "Invoice Downloaded", "Trial Started", "Plan Upgraded", "Teammate Joined", "Onboarding Step Completed",
    "Onboarding Completed", "Data Source Added", "Feature Flag Toggled", "Mobile App Opened", "Feedback Submitted",
]
WEIGHTS = {
    "Report Viewed": 1, "Dashboard Opened": 1, "Record Created": 3, "Record Updated": 2, "Comment Added": 4,
    "File Uploaded": 3, "Report Exported": 5, "Task Completed": 3, "Workflow Run": 6, "Invite Sent": 8,
    "Integration Connected": 10, "Dashboard Created": 6, "Automation Enabled": 9, "Plan Upgraded": 10,
    "Teammate Joined": 8,
}
STEPS = ["Onboarding Completed", "Data Source Added", "Invite Sent", "Integration Connected", "Plan Upgraded"]
# Days of the window, days for which a user counts as one of the account's, and the percentile that counts as 100.
WINDOW, MEMBER_DAYS, PERCENTILE = 30, 90, 90
# With fewer accounts the maximum takes the percentile's place (under vitalsync's definition).
FEW = 10
CURVE = 2.0
# `query` asks less of an engine; `vitalsync` is what vitalsync computes.
DEFINITIONS = ["query", "vitalsync"]

WEIGHTED = [event for event in EVENTS if event in WEIGHTS]
# Bits of an event: its place among the weighted events, and among the steps.
WEIGHT_BIT = {event: 1 << place for place, event in enumerate(WEIGHTED)}
STEP_BIT = {event: 1 << place for place, event in enumerate(STEPS)}
assert len(EVENTS) == 40 and len(WEIGHTED) == len(WEIGHTS) == 15 and set(STEPS) <= set(EVENTS)
