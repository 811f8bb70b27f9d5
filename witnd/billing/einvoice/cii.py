"""Write an electronic invoice as Cross Industry Invoice (UN/CEFACT D16B), the syntax of Factur-X."""

from typing import Final

from witnd.billing.einvoice.content import EInvoice, Line, Party
from witnd.billing.einvoice.xml import Element, Xml

#: BT-24: the specification that the file follows.
PROFILE: Final = "urn:cen.eu:en16931:2017"
_NAMESPACES: Final = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
}
_DATE_FORMAT: Final = "102"  # of UNTDID 2379: year, month and day without separators
_UNIT: Final = "C62"  # of UN/ECE recommendation 20: one
_ADDRESS_LINES: Final = ("ram:LineOne", "ram:LineTwo", "ram:LineThree")
_MAIL: Final = "EM"  # an electronic address that is a mail address


def cii(content: EInvoice) -> bytes:
    xml = Xml("rsm:CrossIndustryInvoice", _NAMESPACES)
    root = xml.root
    root.add("rsm:ExchangedDocumentContext/ram:GuidelineSpecifiedDocumentContextParameter/ram:ID", PROFILE)
    head = root.add("rsm:ExchangedDocument")
    head.add("ram:ID", content.number)
    head.add("ram:TypeCode", content.type_code)
    _date(head, "ram:IssueDateTime", content.issue_date)
    for note in content.notes:
        head.add("ram:IncludedNote/ram:Content", note)
    body = root.add("rsm:SupplyChainTradeTransaction")
    for line in content.lines:
        _line(body.add("ram:IncludedSupplyChainTradeLineItem"), line, content)
    agreement = body.add("ram:ApplicableHeaderTradeAgreement")
    _party(agreement.add("ram:SellerTradeParty"), content.seller)
    _party(agreement.add("ram:BuyerTradeParty"), content.buyer)
    agreement.add_if("ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID", content.purchase_order)
    delivery = body.add("ram:ApplicableHeaderTradeDelivery")
    delivery.add_if("ram:ShipToTradeParty/ram:PostalTradeAddress/ram:CountryID", content.delivered_to)
    if content.last_day is not None:
        _date(delivery, "ram:ActualDeliverySupplyChainEvent/ram:OccurrenceDateTime", content.last_day)
    _settlement(body.add("ram:ApplicableHeaderTradeSettlement"), content)
    return xml.write()


def _line(item: Element, line: Line, content: EInvoice) -> None:
    item.add("ram:AssociatedDocumentLineDocument/ram:LineID", str(line.number))
    product = item.add("ram:SpecifiedTradeProduct")
    product.add("ram:Name", line.name)
    product.add_if("ram:Description", line.description)
    item.add("ram:SpecifiedLineTradeAgreement/ram:NetPriceProductTradePrice/ram:ChargeAmount", line.price)
    item.add("ram:SpecifiedLineTradeDelivery/ram:BilledQuantity", line.quantity, unitCode=_UNIT)
    settlement = item.add("ram:SpecifiedLineTradeSettlement")
    tax = settlement.add("ram:ApplicableTradeTax")
    tax.add("ram:TypeCode", "VAT")
    tax.add("ram:CategoryCode", line.category)
    tax.rate("ram:RateApplicablePercent", line.rate)
    sums = settlement.add("ram:SpecifiedTradeSettlementLineMonetarySummation")
    sums.amount("ram:LineTotalAmount", line.net, content.digits)


def _party(element: Element, party: Party) -> None:
    element.add("ram:Name", party.name)
    element.add_if("ram:SpecifiedLegalOrganization/ram:ID", party.registration)
    if party.email or party.phone:
        contact = element.add("ram:DefinedTradeContact")
        contact.add_if("ram:TelephoneUniversalCommunication/ram:CompleteNumber", party.phone)
        contact.add_if("ram:EmailURIUniversalCommunication/ram:URIID", party.email)
    address = element.add("ram:PostalTradeAddress")
    address.add_if("ram:PostcodeCode", party.postal_code)
    first, second, *others = (*party.address, "", "")
    for name, text in zip(_ADDRESS_LINES, (first, second, ", ".join(filter(None, others))), strict=True):
        address.add_if(name, text)
    address.add_if("ram:CityName", party.city)
    address.add("ram:CountryID", party.country)
    element.add_if("ram:URIUniversalCommunication/ram:URIID", party.email, schemeID=_MAIL)
    element.add_if("ram:SpecifiedTaxRegistration/ram:ID", party.vat_id, schemeID="VA")
    element.add_if("ram:SpecifiedTaxRegistration/ram:ID", party.tax_number, schemeID="FC")


def _settlement(element: Element, content: EInvoice) -> None:
    other, digits = content.other_currency, content.digits
    element.add_if("ram:TaxCurrencyCode", None if other is None else other.currency)
    element.add("ram:InvoiceCurrencyCode", content.currency)
    if content.account is not None:
        means = element.add("ram:SpecifiedTradeSettlementPaymentMeans")
        means.add("ram:TypeCode", content.account.means)
        account = means.add("ram:PayeePartyCreditorFinancialAccount")
        account.add("ram:IBANID", content.account.iban)
        account.add("ram:AccountName", content.account.owner)
        means.add_if("ram:PayeeSpecifiedCreditorFinancialInstitution/ram:BICID", content.account.bic)
    for part in content.taxes:
        tax = element.add("ram:ApplicableTradeTax")
        tax.amount("ram:CalculatedAmount", part.tax, digits)
        tax.add("ram:TypeCode", "VAT")
        tax.add_if("ram:ExemptionReason", part.reason)
        tax.amount("ram:BasisAmount", part.taxable, digits)
        tax.add("ram:CategoryCode", part.category)
        tax.add_if("ram:ExemptionReasonCode", part.reason_code)
        tax.rate("ram:RateApplicablePercent", part.rate)
    if content.first_day is not None and content.last_day is not None:
        period = element.add("ram:BillingSpecifiedPeriod")
        _date(period, "ram:StartDateTime", content.first_day)
        _date(period, "ram:EndDateTime", content.last_day)
    if content.terms is not None or content.due_date is not None:
        terms = element.add("ram:SpecifiedTradePaymentTerms")
        terms.add_if("ram:Description", content.terms)
        if content.due_date is not None:
            _date(terms, "ram:DueDateDateTime", content.due_date)
    _sums(element.add("ram:SpecifiedTradeSettlementHeaderMonetarySummation"), content)
    if content.corrects is not None:
        corrected = element.add("ram:InvoiceReferencedDocument")
        corrected.add("ram:IssuerAssignedID", content.corrects)
        if content.corrects_date is not None:
            _date(corrected, "ram:FormattedIssueDateTime", content.corrects_date, kind="qdt")


def _sums(sums: Element, content: EInvoice) -> None:
    digits, other = content.digits, content.other_currency
    sums.amount("ram:LineTotalAmount", content.net, digits)
    sums.amount("ram:TaxBasisTotalAmount", content.net, digits)
    sums.amount("ram:TaxTotalAmount", content.tax, digits, currencyID=content.currency)
    if other is not None:
        sums.amount("ram:TaxTotalAmount", other.tax, other.digits, currencyID=other.currency)
    sums.amount("ram:GrandTotalAmount", content.total, digits)
    sums.amount("ram:TotalPrepaidAmount", content.paid, digits)
    sums.amount("ram:DuePayableAmount", content.due, digits)


def _date(element: Element, name: str, date: str, kind: str = "udt") -> None:
    element.add(f"{name}/{kind}:DateTimeString", date.replace("-", ""), format=_DATE_FORMAT)
