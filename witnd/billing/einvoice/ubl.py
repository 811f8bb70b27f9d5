"""Write an electronic invoice as UBL 2.1, as an Invoice or a CreditNote."""

from typing import Final

from witnd.billing.einvoice.cii import PROFILE
from witnd.billing.einvoice.content import CREDIT_NOTE, EInvoice, Line, Party
from witnd.billing.einvoice.xml import Element, Xml

_BASE: Final = "urn:oasis:names:specification:ubl:schema:xsd"
_NAMESPACES: Final = {
    "cac": f"{_BASE}:CommonAggregateComponents-2",
    "cbc": f"{_BASE}:CommonBasicComponents-2",
}
_UNIT: Final = "C62"  # of UN/ECE recommendation 20: one
_MAIL: Final = "EM"  # an electronic address that is a mail address


def ubl(content: EInvoice) -> bytes:
    is_note = content.type_code == CREDIT_NOTE
    kind = "CreditNote" if is_note else "Invoice"
    xml = Xml(f"ubl:{kind}", {"ubl": f"{_BASE}:{kind}-2", **_NAMESPACES})
    root = xml.root
    root.add("cbc:CustomizationID", PROFILE)
    root.add("cbc:ID", content.number)
    root.add("cbc:IssueDate", content.issue_date)
    if not is_note:
        root.add_if("cbc:DueDate", content.due_date)
    root.add(f"cbc:{kind}TypeCode", content.type_code)
    for note in content.notes:
        root.add("cbc:Note", note)
    other = content.other_currency
    root.add("cbc:DocumentCurrencyCode", content.currency)
    root.add_if("cbc:TaxCurrencyCode", None if other is None else other.currency)
    if content.first_day is not None and content.last_day is not None:
        period = root.add("cac:InvoicePeriod")
        period.add("cbc:StartDate", content.first_day)
        period.add("cbc:EndDate", content.last_day)
    root.add_if("cac:OrderReference/cbc:ID", content.purchase_order)
    if content.corrects is not None:
        corrected = root.add("cac:BillingReference/cac:InvoiceDocumentReference")
        corrected.add("cbc:ID", content.corrects)
        corrected.add_if("cbc:IssueDate", content.corrects_date)
    _party(root.add("cac:AccountingSupplierParty/cac:Party"), content.seller)
    _party(root.add("cac:AccountingCustomerParty/cac:Party"), content.buyer)
    if content.last_day is not None:
        delivery = root.add("cac:Delivery")
        delivery.add("cbc:ActualDeliveryDate", content.last_day)
        country = "cac:DeliveryLocation/cac:Address/cac:Country/cbc:IdentificationCode"
        delivery.add_if(country, content.delivered_to)
    _payment(root, content)
    _taxes(root, content)
    for line in content.lines:
        _line(root.add(f"cac:{kind}Line"), line, content, "Credited" if is_note else "Invoiced")
    return xml.write()


def _party(element: Element, party: Party) -> None:
    element.add_if("cbc:EndpointID", party.email, schemeID=_MAIL)
    address = element.add("cac:PostalAddress")
    first, second, *others = (*party.address, "", "")
    address.add_if("cbc:StreetName", first)
    address.add_if("cbc:AdditionalStreetName", second)
    address.add_if("cbc:CityName", party.city)
    address.add_if("cbc:PostalZone", party.postal_code)
    address.add_if("cac:AddressLine/cbc:Line", ", ".join(filter(None, others)))
    address.add("cac:Country/cbc:IdentificationCode", party.country)
    for scheme, number in (("VAT", party.vat_id), ("TAX", party.tax_number)):
        if number is not None:
            registered = element.add("cac:PartyTaxScheme")
            registered.add("cbc:CompanyID", number)
            registered.add("cac:TaxScheme/cbc:ID", scheme)
    legal = element.add("cac:PartyLegalEntity")
    legal.add("cbc:RegistrationName", party.name)
    legal.add_if("cbc:CompanyID", party.registration)
    if party.email or party.phone:
        contact = element.add("cac:Contact")
        contact.add_if("cbc:Telephone", party.phone)
        contact.add_if("cbc:ElectronicMail", party.email)


def _payment(root: Element, content: EInvoice) -> None:
    if content.account is not None:
        means = root.add("cac:PaymentMeans")
        means.add("cbc:PaymentMeansCode", content.account.means)
        account = means.add("cac:PayeeFinancialAccount")
        account.add("cbc:ID", content.account.iban)
        account.add("cbc:Name", content.account.owner)
        account.add_if("cac:FinancialInstitutionBranch/cbc:ID", content.account.bic)
    root.add_if("cac:PaymentTerms/cbc:Note", content.terms)


def _taxes(root: Element, content: EInvoice) -> None:
    currency, digits, other = content.currency, content.digits, content.other_currency
    total = root.add("cac:TaxTotal")
    total.amount("cbc:TaxAmount", content.tax, digits, currencyID=currency)
    for part in content.taxes:
        row = total.add("cac:TaxSubtotal")
        row.amount("cbc:TaxableAmount", part.taxable, digits, currencyID=currency)
        row.amount("cbc:TaxAmount", part.tax, digits, currencyID=currency)
        category = row.add("cac:TaxCategory")
        category.add("cbc:ID", part.category)
        category.rate("cbc:Percent", part.rate)
        category.add_if("cbc:TaxExemptionReasonCode", part.reason_code)
        category.add_if("cbc:TaxExemptionReason", part.reason)
        category.add("cac:TaxScheme/cbc:ID", "VAT")
    if other is not None:
        in_other = root.add("cac:TaxTotal")
        in_other.amount("cbc:TaxAmount", other.tax, other.digits, currencyID=other.currency)
    sums = root.add("cac:LegalMonetaryTotal")
    for name, amount in (
        ("cbc:LineExtensionAmount", content.net),
        ("cbc:TaxExclusiveAmount", content.net),
        ("cbc:TaxInclusiveAmount", content.total),
        ("cbc:PrepaidAmount", content.paid),
        ("cbc:PayableAmount", content.due),
    ):
        sums.amount(name, amount, digits, currencyID=currency)


def _line(item: Element, line: Line, content: EInvoice, verb: str) -> None:
    currency = content.currency
    item.add("cbc:ID", str(line.number))
    item.add(f"cbc:{verb}Quantity", line.quantity, unitCode=_UNIT)
    item.amount("cbc:LineExtensionAmount", line.net, content.digits, currencyID=currency)
    product = item.add("cac:Item")
    product.add_if("cbc:Description", line.description)
    product.add("cbc:Name", line.name)
    tax = product.add("cac:ClassifiedTaxCategory")
    tax.add("cbc:ID", line.category)
    tax.rate("cbc:Percent", line.rate)
    tax.add("cac:TaxScheme/cbc:ID", "VAT")
    item.add("cac:Price/cbc:PriceAmount", line.price, currencyID=currency)
