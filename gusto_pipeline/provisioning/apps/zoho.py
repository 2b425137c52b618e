"""What Zoho's apps share: signing in, and the refusals that are about signing in.

One person may be a user of several Zoho apps, with another id in each: every app is a connection of its own. Clients
are registered in Zoho's API console; at most 20 refresh tokens live per person and client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.signin import OFFLINE, Consent, Field, Record, SignIn, oauth

ACCOUNTS = "https://accounts.{domain}.{data_centre}"
APIS = "https://www.zohoapis.{data_centre}"
ANY = range(200, 500)  # statuses that refusals may come with
REFUSALS = (
    Refusal(
        errors.MissingScopeError,
        r"\((OAUTH_SCOPE_MISMATCH|SCOPE_MISMATCH|AUTHORIZATION_FAILED|NO_PERMISSION|FORBIDDEN)\)",
        "Connect as an administrator, consenting to all that is asked",
    ),
    Refusal(
        errors.SignInError,
        r"\((INVALID_TOKEN|INVALID_OAUTH|AUTHENTICATION_FAILURE|OAUTH_ORG_MISMATCH)\)",
        "Check data centre and organization, then connect again",
    ),
)


def authorization(record: Record) -> dict[str, str]:
    """Zoho's own scheme, in place of Bearer."""
    return {"Authorization": f"Zoho-oauthtoken {record['access_token']}"}


def sign_in(
    *fields: Field, scopes: tuple[str, ...], headers: Callable[[Record], Mapping[str, str]] = authorization
) -> SignIn:
    """Consent in the data centre that the organisation lives in; its tokens are good in no other."""
    return oauth(
        # Zoho separates scopes by commas.
        Consent(url=f"{ACCOUNTS}/oauth/v2/auth", scopes=(",".join(scopes),), extra=OFFLINE),
        f"{ACCOUNTS}/oauth/v2/token",
        *fields,
        Field("data_centre", "Data centre: com, eu, in, com.au, jp, sa, com.cn or ca", default="com"),
        Field("domain", "Domain of the sign-in page before that: zoho, in Canada zohocloud", default="zoho"),
        headers=headers,
    )
