# Senders of login codes and password links, which expire in minutes. A greylist with
# urgent = [list.code_senders] never defers them, where SPF passes for the envelope
# sender, or a DKIM signature that verifies is aligned with the From header. So nobody
# else can use a domain that stands here. A domain of mailboxes that anybody can have
# does not belong here.
#
# Put your own beside it, in a list of your own: urgent = [list.code_senders, list.ours].

locals {
  code_domains = [
    # accounts
    "google.com", "apple.com", "microsoft.com", "microsoftonline.com",
    "facebookmail.com", "instagram.com", "whatsapp.com", "linkedin.com", "x.com",
    "tiktok.com", "pinterest.com", "reddit.com", "redditmail.com", "discord.com",
    "slack.com", "zoom.us", "openai.com", "anthropic.com", "wikimedia.org",

    # work
    "github.com", "gitlab.com", "atlassian.com", "adobe.com", "dropbox.com",
    "dropboxmail.com", "docusign.net", "notion.so", "okta.com", "auth0.com",
    "duosecurity.com", "salesforce.com", "zendesk.com", "npmjs.com", "pypi.org",
    "docker.com", "letsencrypt.org",

    # hosting and domains
    "signin.aws", "cloudflare.com", "digitalocean.com", "hetzner.com", "ovh.com",
    "ovhcloud.com", "godaddy.com", "namecheap.com", "gandi.net", "ionos.com",

    # money
    "paypal.com", "stripe.com", "wise.com", "revolut.com", "klarna.com", "coinbase.com",
    "kraken.com", "n26.com",

    # shops, travel and play
    "amazon.com", "amazon.co.uk", "amazon.de", "amazon.fr", "ebay.com", "ebay.de",
    "ebay.co.uk", "etsy.com", "booking.com", "airbnb.com", "uber.com", "netflix.com",
    "spotify.com", "steampowered.com", "epicgames.com", "ea.com", "nintendo.com",
    "nintendo.net", "playstation.com", "playstationmail.net", "xbox.com", "twitch.tv",
  ]
}

list "code_senders" {
  reviewed = "2026-11-22"
  senders  = concat(local.code_domains, [for domain in local.code_domains : "*@*.${domain}"])
}
