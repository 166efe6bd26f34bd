"""The platform's own records: policy versions, proposals, applications. No row of a department is among them."""
