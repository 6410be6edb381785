"""What the simulated accounts hold when they are new: ids, credentials, a program with its campaigns, one event.

The secrets are demonstration values. They open nothing but this simulation.
"""

# --- Marketo ---------------------------------------------------------------------------------------------------
CLIENT_ID = "4f8c1d92-6a37-4e05-9b1c-d27e58a3f0b6"
CLIENT_SECRET = "vQ7mLzR2xKc9TnWb4HsYdE6uJgPa8FoX"  # noqa: S105  # opens only the simulation
API_USER = "relay-api@sandbox.invalid"

EXECUTE_CAMPAIGN = "Execute Campaign"
READ_LEAD = "Read-Only Lead"
WRITE_LEAD = "Read-Write Lead"
READ_CAMPAIGN = "Read-Only Campaign"
WRITE_CAMPAIGN = "Read-Write Campaign"
READ_ASSET = "Read-Only Asset"
WRITE_ASSET = "Read-Write Asset"
READ_ACTIVITY = "Read-Only Activity"
WRITE_ACTIVITY = "Read-Write Activity"
ALL_PERMISSIONS = frozenset(
    {EXECUTE_CAMPAIGN, READ_LEAD, WRITE_LEAD, READ_CAMPAIGN, READ_ASSET, WRITE_ASSET, READ_ACTIVITY}
)

FOLDER_ID = 27
FOLDERS = {  # each with its name and the folder that it stands in
    14: ("Marketing Activities", None),
    15: ("Default", 14),
    FOLDER_ID: ("Webinars", 15),
}
PROGRAM_ID = 1001
LINK_FIELD_PROGRAM_ID = 1002
CAMPAIGN_ID = 1234
BATCH_CAMPAIGN_ID = 1235
INACTIVE_CAMPAIGN_ID = 1236
NOT_REQUESTABLE_CAMPAIGN_ID = 1237
ONCE_CAMPAIGN_ID = 1238
DAILY_CAMPAIGN_ID = 1239
LINK_FIELD_CAMPAIGN_ID = 1240
EMAIL_ID = 5001
LINK_FIELD_EMAIL_ID = 5002
BOUNCING_DOMAIN = "bounce.example.com"  # no mailbox there takes mail
FIRST_LEAD_ID = 1_002_200

TITLE_TOKEN = "WebinarTitle"  # noqa: S105  # the name of a My Token
JOIN_LINK_TOKEN = "JoinLink"  # noqa: S105  # the name of a My Token
IMAGE_TOKEN = "WebinarImage"  # noqa: S105  # the name of a My Token
DEFAULT_TITLE = "Our next webinar"
DEFAULT_JOIN_LINK = "https://webinars.example.com/next"
JOIN_LINK_FIELD = "webinarJoinLink"
BANNER_PATH = "/sandbox/banner.svg"

# --- Eventbrite ------------------------------------------------------------------------------------------------
EVENTBRITE_API_TOKEN = "EBQ3N7VXK2RZ5TWJ6YHD"  # noqa: S105  # opens only the simulation
EVENTBRITE_WEBHOOK_TOKEN = "eb-hook-K7wq2Zt9RbX4mN1c"  # noqa: S105  # opens only the simulation
EVENTBRITE_USER_ID = "311783287832"
EVENTBRITE_ORGANIZATION_ID = "298709505518"
EVENTBRITE_WEBHOOK_ID = "1806556"
EVENTBRITE_EVENT_ID = "64592778740"
EVENTBRITE_ORDER_ID = "985359169"
EVENTBRITE_ATTENDEE_IDS = ("1261812597", "1261812598")
EVENTBRITE_TITLE = "Scaling Customer Engagement: live webinar"
EVENTBRITE_JOIN_LINK = "https://zoom.example.com/j/84512346790?pwd=Tk9UQVJFQUw&from=eventbrite"
EVENTBRITE_BUYER = ("Ada", "Lovelace", "ada.lovelace@example.com")

# --- Pendo -----------------------------------------------------------------------------------------------------
PENDO_INTEGRATION_KEY = "7d1e5b90-c4a8-4f26-83be-19f06a7d2c5e.us"
PENDO_WEBHOOK_SECRET = "pendo-hook-9XcV3kTq7LmZ2wRb"  # noqa: S105  # opens only the simulation
PENDO_VISITOR_ID = "visitor-8841"
PENDO_VISITOR = ("Grace", "Hopper", "grace.hopper@example.com")

# --- own apps --------------------------------------------------------------------------------------------------
CUSTOM_WEBHOOK_SECRET = "whsec_p3TnQ8vY2bLkR6xWc9ZsHdF1mJgUa4Eo"  # noqa: S105  # opens only the simulation
CUSTOM_API_KEY = "app-key-R4tYp8WcN2xVb6Qz"
ADMIN_TOKEN = "admin-Jq5ZrT8bXw2LcK7v"  # noqa: S105  # opens only the simulation's relay
